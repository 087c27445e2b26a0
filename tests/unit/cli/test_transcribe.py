"""``sparsespeech transcribe`` from its arguments to its output, status and error lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import load
from tests.random_models import random_integer_model
from tests.scripted_backend import ScriptedExecutor, babble

RATE = 16_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    write_model(random_integer_model(np.random.default_rng(7), hidden=8), path)
    return path


@pytest.fixture
def run(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command with a model that hears "good day" in everything."""
    monkeypatch.setattr(
        "sparsespeech.recogniser.load_backend",
        lambda name: lambda model, threads: ScriptedExecutor(model, "good day"),
    )

    def transcribe(*arguments: object) -> tuple[int, str, str]:
        status = main(["transcribe", "--model", str(model), *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return transcribe


def recording(path: Path, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, babble(seconds), RATE)
    return path


def assert_one_line(err: str, *parts: str) -> None:
    assert err.startswith("sparsespeech: error: ")
    assert err.count("\n") == 1 and err.endswith("\n")
    assert all(part in err for part in parts), err


# ---- output ----------------------------------------------------------------------------------


def test_text(run: Run, tmp_path: Path) -> None:
    assert run(recording(tmp_path / "a.wav")) == (0, "good day\n", "")


def test_text_of_several_names_them(run: Run, tmp_path: Path) -> None:
    a, b = recording(tmp_path / "a.wav"), recording(tmp_path / "b" / "c.flac")
    assert run(tmp_path) == (0, f"{a}\tgood day\n{b}\tgood day\n", "")


def test_json(run: Run, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav", 1.5)
    status, out, err = run(path, "--format", "json")
    assert (status, err) == (0, "")
    (record,) = json.loads(out)
    words = record.pop("words")
    assert record == {"path": str(path), "text": "good day", "duration_s": 1.5}
    assert [list(word) for word in words] == [["word", "start", "end", "confidence"]] * 2
    assert [word["word"] for word in words] == ["good", "day"]
    assert 0 <= words[0]["start"] < words[0]["end"] <= words[1]["start"] < words[1]["end"] <= 1.5
    assert 0 <= words[0]["confidence"] <= 1


def test_json_with_timing(run: Run, tmp_path: Path) -> None:
    _, out, err = run(recording(tmp_path / "a.wav"), "--format", "json", "--timing")
    timing = json.loads(out)[0]["timing"]
    layers = ["layer1", "layer2", "layer3", "layer4", "layer5"]
    stages = ["audio", "features", *layers, "softmax", "decoding", "end to end"]
    assert [entry["stage"] for entry in timing] == stages
    assert all(entry["seconds"] >= 0 for entry in timing)
    assert err == ""


def test_timing_table_goes_to_stderr(run: Run, tmp_path: Path) -> None:
    status, out, err = run(recording(tmp_path / "a.wav"), "--timing")
    assert (status, out) == (0, "good day\n")
    assert "end to end" in err
    assert "Stages for 1.00 s of audio" in err


@pytest.mark.parametrize(
    ("format_", "start"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")]
)
def test_subtitles(run: Run, tmp_path: Path, format_: str, start: str) -> None:
    status, out, _ = run(recording(tmp_path / "a.wav"), "--format", format_)
    assert status == 0
    assert out.startswith(start)
    assert out.endswith("\ngood day\n\n")


def test_silence_gives_empty_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    assert run(path) == (0, "\n", "")


@pytest.mark.parametrize("format_", ["text", "json", "srt", "vtt"])
def test_output_file_holds_what_stdout_would(run: Run, tmp_path: Path, format_: str) -> None:
    path, target = recording(tmp_path / "a.wav"), tmp_path / "out"
    _, shown, _ = run(path, "--format", format_)
    assert run(path, "--format", format_, "--output", target) == (0, "", "")
    assert target.read_text() == shown


def test_subtitles_of_a_folder(run: Run, tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    for name in ("a.wav", "a.flac", "b/c.wav"):
        recording(talks / name)
    assert run(talks, "--format", "srt", "--output", tmp_path / "out")[0] == 0
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.srt")}
    assert written == {"a.wav.srt", "a.flac.srt", "b/c.srt"}


def test_formats_and_rates(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.stack([babble(1.0), babble(1.0)], axis=1)[::2], 8000)  # 8 kHz stereo
    status, out, err = run(path, "--format", "json")
    assert (status, err) == (0, "")
    assert json.loads(out)[0]["text"] == "good day"


# ---- bad recordings --------------------------------------------------------------------------


def bad_recordings(folder: Path) -> dict[str, tuple[Path, str]]:
    """Each unusable recording of the list, with a part of its message."""
    folder.mkdir(exist_ok=True)
    empty, text, header, cut, nan = (folder / f"{n}.wav" for n in ("e", "t", "h", "c", "n"))
    empty.touch()
    text.write_text("this is text\n")
    soundfile.write(header, np.zeros(0), RATE)
    recording(cut).write_bytes(cut.read_bytes()[: 44 + 2 * 778])
    samples = babble(0.5).astype(np.float32)
    samples[4000] = np.nan
    soundfile.write(nan, samples, RATE, subtype="FLOAT")
    media = folder / "m.m4a"
    media.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    return {
        "missing": (folder / "missing.wav", "no such file"),
        "empty": (empty, "is empty (0 bytes)"),
        "text": (text, "is not a recording"),
        "header": (header, "holds a header and no samples"),
        "cut": (cut, "declares 16000 and holds 778 samples"),
        "nan": (nan, "sample 4000 (0.250 s) is nan"),
        "media": (media, "pip install 'sparsespeech[media]'"),
    }


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "header", "cut", "nan", "media"])
def test_bad_recording_is_one_line_and_status_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path, message = bad_recordings(tmp_path / "bad")[kind]
    target = tmp_path / "out.json"
    status, out, err = run(path, "--format", "json", "--output", target)
    assert (status, out) == (2, "")
    assert_one_line(err, str(path), message)
    assert not target.exists()


def test_bad_recordings_of_a_folder_do_not_stop_the_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    bad = bad_recordings(tmp_path / "bad")
    good = [recording(tmp_path / "bad" / name) for name in ("a.wav", "z.wav")]
    status, out, err = run(tmp_path / "bad", "--format", "json")
    assert status == 2
    assert [record["path"] for record in json.loads(out)] == [str(path) for path in good]
    assert err.count("sparsespeech: error: ") == err.count("\n") == len(bad) - 1  # one is missing


def test_only_bad_recordings_print_no_result(run: Run, tmp_path: Path) -> None:
    assert run(tmp_path / "a.wav", tmp_path / "b.wav", "--format", "json")[:2] == (2, "")


def test_folder_without_audio(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    status, _, err = run(tmp_path)
    assert status == 2
    assert_one_line(err, "the folder holds no recording")


def test_allow_truncated(run: Run, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav", 2.0)
    path.write_bytes(path.read_bytes()[:40_000])
    status, out, err = run(path, "--allow-truncated")
    assert (status, out) == (0, "good day\n")
    assert (
        err == f"sparsespeech: warning: {path}: is truncated; this is the text of what is there\n"
    )


def test_clipped_samples_are_reported(run: Run, tmp_path: Path) -> None:
    path, samples = tmp_path / "a.wav", babble(1.0)
    samples[:5] = 2.0
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    status, _, err = run(path)
    assert status == 0
    assert err == f"sparsespeech: warning: {path}: 5 samples beyond +-1 were clipped\n"


def test_max_duration(run: Run, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav")
    status, _, err = run(path, "--max-duration", "0.5")
    assert status == 2
    assert_one_line(err, "lasts 1.0 s, the limit is 0.5 s", "--max-duration", "split")
    assert run(path, "--max-duration", "1")[0] == 0


@pytest.mark.parametrize("count", [1, 100, 399, 400, 1000])
def test_very_short_recordings(run: Run, tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, babble(1.0)[3000 : 3000 + count], RATE)
    status, out, err = run(path)
    assert (status, err) == (0, "")
    assert out.count("\n") == 1


# ---- bad arguments ---------------------------------------------------------------------------


def test_output_is_checked_before_any_work(run: Run, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav")
    before = path.read_bytes()
    for target, message in (
        (tmp_path, "is a folder, expected a file name"),
        (tmp_path / "none" / "out.txt", "no such folder"),
        (path, "is one of the recordings"),
    ):
        status, out, err = run(path, "--output", target)
        assert (status, out) == (2, "")
        assert_one_line(err, message)
    assert path.read_bytes() == before


def test_subtitles_of_several_need_a_folder(run: Run, tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    recording(tmp_path / "b.wav")
    status, _, err = run(tmp_path, "--format", "vtt")
    assert status == 2
    assert_one_line(err, "2 recordings make as many vtt files", "--output FOLDER")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--decoder", "best"),
        ("--decoder", "greedy", "--beam", "8"),
        ("--decoder", "greedy", "--lm", "x.arpa"),
        ("--beam", "0"),
        ("--format", "xml"),
        ("--jobs", "0"),
        ("--max-duration", "-1"),
        ("--no-such-option",),
        ("--alpha", "1"),
        ("--lm", "x.arpa", "--beta", "nan"),
        ("--lm", "x.arpa", "--alpha", "1e7"),
    ],
    ids=" ".join,
)
def test_usage_errors(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, out, err = run(recording(tmp_path / "a.wav"), *arguments)
    assert (status, out) == (2, "")
    assert_one_line(err, "see 'sparsespeech transcribe --help'")


@pytest.mark.parametrize("option", ["--backend", "--model", "--lm"])
def test_unusable_parts_stop_before_the_first_recording(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    arguments = ["transcribe", str(recording(tmp_path / "a.wav"))]
    if option != "--model":
        arguments += ["--model", str(model)]
    assert main([*arguments, option, str(tmp_path / "none")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert_one_line(captured.err, "none")


def test_language_model_of_another_alphabet(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    words = ("<s>", "</s>", "да", "нет")
    lines = "".join(f"-1.0 {word}\n" for word in words)
    path.write_text(f"\\data\\\nngram 1=4\n\\1-grams:\n{lines}\\end\\\n")
    status, out, err = run(recording(tmp_path / "a.wav"), "--lm", path)
    assert (status, out) == (2, "")
    assert_one_line(err, "alphabet")


def test_beam_search_with_language_model(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    words = ("<s>", "</s>", "good", "day")
    lines = "".join(f"-1.0 {word}\n" for word in words)
    path.write_text(f"\\data\\\nngram 1=4\n\\1-grams:\n{lines}\\end\\\n")
    audio = recording(tmp_path / "a.wav")
    assert run(audio, "--lm", path) == (0, "good day\n", "")
    assert run(audio, "--decoder", "beam", "--beam", "4") == (0, "good day\n", "")


def test_weights_of_the_language_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, audio = tmp_path / "lm.arpa", recording(tmp_path / "a.wav")
    letters = "".join(f"-1.0 {letter}\n" for letter in ("<s>", "</s>", *"abcdefghijklmno"))
    path.write_text(f"\\data\\\nngram 1=17\n\\1-grams:\n{letters}\\end\\\n")
    texts = []
    for weights in ({}, {"alpha": 0.0, "beta": 9.0}, {"alpha": 5.0, "beta": -9.0}):
        options = [str(part) for key, value in weights.items() for part in (f"--{key}", value)]
        arguments = [str(audio), "--model", str(model), "--lm", str(path)]
        assert main(["transcribe", *arguments, *options]) == 0
        texts.append(capsys.readouterr().out.removesuffix("\n"))
        expected = load(model).transcribe(audio, decoder="beam", language_model=path, **weights)
        assert texts[-1] == expected.text
    words = [len(text.split()) for text in texts]
    assert words[2] < words[1]
    assert len(set(texts)) > 1


# ---- the real command ------------------------------------------------------------------------


def sparsespeech(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "sparsespeech.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_process_with_several_jobs_keeps_the_order(tmp_path: Path, model: Path) -> None:
    paths = [recording(tmp_path / f"{name}.wav") for name in "abc"]
    (tmp_path / "b.wav").write_bytes(b"no sound")
    found = sparsespeech("transcribe", tmp_path, "--model", model, "--format", "json", "--jobs", 2)
    assert found.returncode == 2
    assert_one_line(found.stderr, "b.wav: is not a recording")
    alone = sparsespeech("transcribe", paths[0], paths[2], "--model", model, "--format", "json")
    assert (alone.returncode, alone.stderr) == (0, "")
    assert json.loads(found.stdout) == json.loads(alone.stdout)


def test_process_with_a_corrupted_model(tmp_path: Path, model: Path) -> None:
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(content)
    found = sparsespeech("transcribe", recording(tmp_path / "a.wav"), "--model", bad)
    assert (found.returncode, found.stdout) == (2, "")
    assert_one_line(found.stderr, str(bad))


def test_disk_full_leaves_the_old_output(tmp_path: Path, model: Path) -> None:
    audio, target = recording(tmp_path / "a.wav"), tmp_path / "out.json"
    target.write_text("old")
    code = (
        "import resource, sys; from sparsespeech.cli.main import main; "
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["transcribe", audio, "--model", model, "--format", "json", "--output", target]
    found = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert_one_line(found.stderr, "File too large")
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "out.json"]
