"""``sparsespeech stream`` from its input to its lines, status and errors."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.cli import default_model
from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import load
from tests.scripted_backend import babble
from tests.talkative_model import talkative_model

RATE = 16_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "uni.safetensors"
    write_model(talkative_model(), path)
    return path


class Stdin(io.TextIOWrapper):
    """Standard input that holds bytes, and may pass for a terminal."""

    def __init__(self, stream: io.BytesIO, *, terminal: bool = False) -> None:
        super().__init__(stream)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def run(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def stream(
        *arguments: object, stdin: bytes | io.BytesIO = b"", terminal: bool = False
    ) -> tuple[int, str, str]:
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        monkeypatch.setattr(sys, "stdin", Stdin(source, terminal=terminal))
        status = main(["stream", "--model", str(model), *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return stream


def pcm(samples: np.ndarray) -> bytes:
    return np.round(samples * 32_000).astype("<i2").tobytes()


def text_of(model: Path, samples: np.ndarray, rate: int = RATE) -> str:
    whole = np.frombuffer(pcm(samples), "<i2").astype(np.int16)
    return load(model).transcribe(whole, rate).text


def write(path: Path, seconds: float) -> Path:
    soundfile.write(path, np.frombuffer(pcm(babble(seconds)), "<i2"), RATE)
    return path


# ---- output ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_ms", [20, 320, 5000])
def test_stdin_gives_the_text_of_the_recording(run: Run, model: Path, chunk_ms: int) -> None:
    status, out, err = run("--chunk-ms", chunk_ms, stdin=pcm(babble(2.0)))
    assert status == 0
    assert out == text_of(model, babble(2.0)) + "\n"
    partials = err.splitlines()
    assert len(partials) == len(set(partials))
    assert all(out.startswith(partial[:-1]) for partial in partials)
    assert len(partials) > 3 or chunk_ms == 5000


def test_file_gives_the_same(run: Run, model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", 2.0)
    assert run(path)[:2] == (0, text_of(model, babble(2.0)) + "\n")


def test_other_rate(run: Run, model: Path) -> None:
    samples = babble(2.0, rate=8_000)
    status, out, _ = run("--rate", 8000, stdin=pcm(samples))
    assert (status, out) == (0, text_of(model, samples, 8_000) + "\n")


def test_json_lines(run: Run, model: Path) -> None:
    status, out, err = run("--json", stdin=pcm(babble(2.0)))
    assert (status, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert {record["type"] for record in records[:-1]} == {"partial"}
    final = records[-1]
    assert list(final) == ["type", "text", "words", "duration_s", "clipped_samples"]
    assert (final["type"], final["text"]) == ("final", text_of(model, babble(2.0)))
    assert [list(word) for word in final["words"]] == [
        ["word", "start", "end", "confidence"] for _ in final["text"].split()
    ]
    assert final["duration_s"] == 2.0


def test_pauses_end_lines(run: Run, tmp_path: Path) -> None:
    # The shortest pause of all: every frame without a letter ends a line.
    lines = run("--pause", 0.02, stdin=pcm(babble(2.0)))[1].splitlines()
    assert len(lines) >= 3
    assert all(lines)
    whole = run("--pause", 0, stdin=pcm(babble(2.0)))[1]
    assert "".join(lines).replace(" ", "") == whole.replace(" ", "").replace("\n", "")


def test_partial_lines_start_anew_after_a_final_one(run: Run) -> None:
    _, out, _ = run("--pause", 0.02, "--chunk-ms", 20, "--json", stdin=pcm(babble(2.0)))
    records = [json.loads(line) for line in out.splitlines()]
    kinds = [(record["type"], record["text"] != "") for record in records]
    assert kinds.count(("final", True)) >= 3
    assert ("partial", False) not in kinds


def test_silence_is_one_empty_line(run: Run) -> None:
    assert run(stdin=pcm(np.zeros(RATE))) == (0, "\n", "")
    assert run(stdin=b"") == (0, "\n", "")


def test_beam_search(run: Run, model: Path) -> None:
    status, out, _ = run("--beam", 8, stdin=pcm(babble(1.0)))
    samples = np.frombuffer(pcm(babble(1.0)), "<i2").astype(np.int16)
    expected = load(model).transcribe(samples, decoder="beam", beam_width=8).text
    assert (status, out) == (0, expected + "\n")


def test_weights_of_the_language_model(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    letters = "".join(f"-1.0 {letter}\n" for letter in ("<s>", "</s>", *"abcdefghijklmno"))
    path.write_text(f"\\data\\\nngram 1=17\n\\1-grams:\n{letters}\\end\\\n")
    _, weighted, _ = run("--lm", path, "--alpha", 0, "--beta", 9, stdin=pcm(babble(1.0)))
    samples = np.frombuffer(pcm(babble(1.0)), "<i2").astype(np.int16)
    expected = load(model).transcribe(
        samples, decoder="beam", language_model=path, alpha=0.0, beta=9.0
    )
    assert weighted == expected.text + "\n"
    assert run("--lm", path, stdin=pcm(babble(1.0)))[1] != weighted


def test_terminal_shows_one_changing_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    _, out, err = run("--pause", 0, stdin=pcm(babble(3.0)))
    assert "\n" not in err
    shown = err.split("\r\x1b[2K")
    assert shown[0] == shown[-1] == ""  # the last partial text is erased
    assert max(map(len, shown)) == 19
    assert out.startswith(shown[1])


def test_interrupt_ends_the_sound_not_the_text(run: Run, model: Path) -> None:
    class Interrupted(io.BytesIO):
        """Ends with Ctrl-C."""

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:
                raise KeyboardInterrupt
            return data

        read1 = read

    status, out, _ = run(stdin=Interrupted(pcm(babble(1.0))))
    assert (status, out) == (130, text_of(model, babble(1.0)) + "\n")


# ---- refusals --------------------------------------------------------------------------------


def assert_one_error(result: tuple[int, str, str], *parts: str) -> None:
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.startswith("sparsespeech: error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_model_that_reads_backwards(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "both.safetensors"
    write_model(talkative_model(bidirectional=True), path)
    arguments = ("--model", str(path))
    message = f"stream needs a unidirectional model; '{path}' reads the whole recording in both"
    assert_one_error(
        run(*arguments, stdin=b"12"), message, "`bidirectional: false`", "sparsespeech transcribe"
    )
    monkeypatch.setattr("sparsespeech.cli.stream.streaming_models", lambda: ["english-live"])
    assert_one_error(run(*arguments, stdin=b"12"), message, "; take english-live, or use")


def test_default_is_a_bundled_model_that_can_stream(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = tmp_path / "both.safetensors"
    write_model(talkative_model(bidirectional=True), both)
    bundled = {"a": both, "english-medium": both, "live": model}
    monkeypatch.setattr(default_model, "bundled_models", lambda: bundled)
    assert default_model.default_streaming_model() == "live"
    del bundled["live"]
    assert default_model.default_streaming_model() == "english-medium"
    assert default_model.streaming_models() == []


@pytest.mark.parametrize("magic", [b"RIFF", b"fLaC", b"OggS", b"ID3\x04"])
def test_recording_with_a_header_on_stdin(run: Run, magic: bytes) -> None:
    assert_one_error(run(stdin=magic + bytes(5000)), "stdin: begins with", "name the file")


def test_half_a_sample(run: Run, model: Path) -> None:
    status, out, err = run(stdin=pcm(babble(1.0)) + b"\x01")
    assert (status, out) == (0, text_of(model, babble(1.0)) + "\n")
    assert "sparsespeech: warning: stdin: ended in the middle of a sample" in err


def test_bad_recording(run: Run, tmp_path: Path) -> None:
    assert_one_error(run(tmp_path / "none.wav"), "none.wav: no such file")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--decoder", "best"], "'best' is not greedy or beam"),
        (["--decoder", "greedy", "--beam", "4"], "need --decoder beam"),
        (["--beta", "1"], "give --lm too"),
        (["--chunk-ms", "0"], "chunk-ms"),
        (["--pause", "-1"], "pause"),
        (["--threads", "0"], "threads"),
        (["a.wav", "--rate", "8000"], "a FILE states its own rate"),
    ],
)
def test_bad_arguments(run: Run, arguments: list[str], part: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert part in err


def test_impossible_rate(run: Run) -> None:
    assert_one_error(run("--rate", 100, stdin=b"12"), "sample rate is 100 Hz")


def test_terminal_is_no_input(run: Run) -> None:
    status, _, err = run(terminal=True)
    assert status == 2
    assert "pipe raw PCM into stdin" in err


def test_unknown_backend(run: Run) -> None:
    assert_one_error(run("--backend", "tpu", stdin=b"12"), "backend 'tpu' does not exist")


def test_live_lines_are_not_held_back(model: Path) -> None:
    """The first partial text comes while the input is still open."""
    command = [sys.executable, "-m", "sparsespeech.cli.main", "stream", "--model", str(model)]
    with subprocess.Popen(
        [*command, "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(pcm(babble(2.0)))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["type"] == "partial"
        process.stdin.close()
        last = process.stdout.read().splitlines()[-1]
    assert json.loads(last)["text"] == text_of(model, babble(2.0))
    assert process.returncode == 0
