"""``sparsespeech simulate`` and ``transcribe`` with a program, from arguments to output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import load
from tests.compiled_programs import small_program
from tests.scripted_backend import babble

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "a.program"
    small_program(1).save(path)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def recording(path: Path, seconds: float = 0.4) -> Path:
    soundfile.write(path, babble(seconds), 16_000)
    return path


def test_tables(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav")
    status, out, err = run("simulate", program, audio, "--verify")
    assert (status, err) == (0, "")
    for text in ("x.wav", "recurrence", "a forward step", "a backward step"):
        assert text in out
    for wires in ("frames (activations): link ", "sums (partial sums", "control (credits"):
        assert f"\n{wires}" in out
    assert "verified: 580 logits of 1 recording are" in out  # 20 frames of 29 labels


def test_json(run: Run, program: Path, tmp_path: Path) -> None:
    paths = [recording(tmp_path / f"{n}.wav", 0.2 * (n + 1)) for n in range(3)]
    status, out, _ = run("simulate", program, tmp_path, "--json", "--in-flight", 2)
    assert status == 0
    figures = json.loads(out)
    utterances = figures["utterances"]
    assert [entry["path"] for entry in utterances] == [str(path) for path in paths]
    assert [entry["frames"] for entry in utterances] == [10, 20, 30]
    assert [entry["wave"] for entry in utterances] == [0, 0, 1]
    for entry in utterances:
        assert entry["latency_ms"] == pytest.approx(entry["latency_cycles"] / 100e3)
        assert len(entry["frame_latency_cycles"]) == entry["frames"]
        assert max(entry["frame_latency_cycles"]) <= entry["latency_cycles"] <= figures["cycles"]
    assert figures["verified_logits"] is None
    assert figures["steps"] == {}  # several in flight
    for core in figures["cores"]:
        causes = ("multiply", "row_limit", "stall", "load", "drain", "recurrence", "idle")
        assert sum(core[cause] for cause in causes) == figures["cycles"]
    assert {link["wires"] for link in figures["links"]} == {"frames", "sums", "control"}
    for link in figures["links"]:
        assert link["utilisation"] == link["flits"] / figures["cycles"] <= 1


def test_manifest_and_limit(run: Run, program: Path, tmp_path: Path) -> None:
    for name in ("x.wav", "y.wav"):
        recording(tmp_path / name)
    lines = [
        json.dumps({"audio_filepath": name, "duration": 0.4, "text": ""})
        for name in ("y.wav", "x.wav")
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    _, out, _ = run("simulate", program, tmp_path / "m.jsonl", "--limit", 1, "--json")
    assert [Path(entry["path"]).name for entry in json.loads(out)["utterances"]] == ["y.wav"]


def test_files(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x & <y>.wav", 0.2)
    trace, dump, page = tmp_path / "t.json", tmp_path / "t.vcd", tmp_path / "t.html"
    status, _, err = run(
        "simulate", program, audio, "--trace", trace, "--vcd", dump, "--html", page
    )
    assert (status, err) == (0, "")
    assert json.loads(trace.read_text())["traceEvents"]
    assert dump.read_text().startswith("$comment")
    html = page.read_text()
    assert "x &amp; &lt;y&gt;.wav" in html and "<script" not in html
    assert html.count("<img") == 2
    for title in ("Recordings", "Where the cycles go", "Cores", "Links"):
        assert title in html


# ---- errors ------------------------------------------------------------------------------------


def assert_refused(result: tuple[int, str, str], *parts: str) -> None:
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.startswith("sparsespeech: error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_damaged_program(run: Run, program: Path, tmp_path: Path) -> None:
    program.write_bytes(program.read_bytes()[:-1])
    audio = recording(tmp_path / "x.wav")
    trace = tmp_path / "t.json"
    assert_refused(run("simulate", program, audio, "--trace", trace), "a.program")
    assert not trace.exists()


def test_model_in_place_of_a_program(run: Run, tmp_path: Path) -> None:
    write_model(small_program(1).model, tmp_path / "m.safetensors")
    audio = recording(tmp_path / "x.wav")
    assert_refused(run("simulate", tmp_path / "m.safetensors", audio), "m.safetensors")


def test_recording_without_samples(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav", 0.0)
    assert_refused(run("simulate", program, audio), "x.wav", "no samples")


def test_recording_longer_than_the_memories(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav", 3.0)
    page = tmp_path / "t.html"
    assert_refused(run("simulate", program, audio, "--html", page), "150 frames", "sequence memory")
    assert_refused(run("simulate", program, audio), "sequence_bytes", "--config", "--in-flight")
    assert not page.exists()


def test_more_in_flight_than_contexts(run: Run, program: Path, tmp_path: Path) -> None:
    for number in range(5):
        recording(tmp_path / f"{number}.wav", 0.1)
    assert_refused(run("simulate", program, tmp_path, "--in-flight", 5), "expected 1 to 4")


def test_host_backend_that_does_not_exist(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav")
    assert_refused(run("simulate", program, audio, "--host-backend", "gpu"), "'gpu'")


def test_output_in_no_folder(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav")
    for option in ("--trace", "--vcd", "--html"):
        result = run("simulate", program, audio, option, tmp_path / "none" / "x")
        assert_refused(result, "existing folder", option)


def test_outputs_that_would_replace_inputs(run: Run, program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    folder.mkdir()
    audio = recording(folder / "x.wav")
    manifest = tmp_path / "m.jsonl"
    entry = {"audio_filepath": str(audio), "duration": 0.4, "text": ""}
    manifest.write_text(json.dumps(entry))
    alias = tmp_path / "alias"
    alias.symlink_to(program)
    settings = tmp_path / "c.toml"
    settings.write_text("cores = 3")
    kept = {path: path.read_bytes() for path in (program, audio, manifest, settings)}
    for option in ("--trace", "--vcd", "--html"):
        for inputs in ([audio], [folder, "--limit", 1], [manifest]):
            for output in (audio, tmp_path / "speech" / ".." / "speech" / "x.wav", program, alias):
                result = run("simulate", program, *inputs, option, output)
                assert_refused(result, option, "that is read too")
        assert_refused(run("simulate", program, manifest, option, manifest), option, "an input")
        result = run("simulate", program, audio, "--config", settings, option, settings)
        assert_refused(result, option, "--config that is read")
    assert {path: path.read_bytes() for path in kept} == kept
    new = tmp_path / "new"
    result = run("simulate", program, audio, "--trace", new, "--html", tmp_path / "." / "new")
    assert_refused(result, "--html", "the file of --trace")
    assert not new.exists()


def test_program_for_another_accelerator(run: Run, tmp_path: Path) -> None:
    audio, program = recording(tmp_path / "x.wav", 0.2), tmp_path / "a.program"
    mau, settings = TARGETS["mau-stratix10"], tmp_path / "c.toml"
    small_program(1, config=mau).save(program)
    same = run("simulate", program, audio, "--target", mau.name)
    assert (same[0], same[2]) == (0, "")
    page = tmp_path / "t.html"
    other = run("simulate", program, audio, "--target", "ddese-vu9p", "--html", page)
    assert_refused(other, "a.program", "'mau-stratix10'", "'ddese-vu9p'", "rule P10")
    assert not page.exists()
    settings.write_text("staging_frames = 8")
    other = run("simulate", program, audio, "--config", settings)
    assert_refused(other, "staging_frames = 4", "with 8")
    assert run("transcribe", "--model", program, "--target", mau.name, audio)[0] == 0
    assert_refused(run("simulate", program, audio, "--target", "x"), "target 'x' does not exist")


# ---- transcribe --------------------------------------------------------------------------------


def test_transcribe_with_a_program_hears_what_the_model_hears(
    run: Run, program: Path, tmp_path: Path
) -> None:
    audio = recording(tmp_path / "x.wav", 0.6)
    write_model(small_program(1).model, tmp_path / "m.safetensors")
    expected = load(tmp_path / "m.safetensors", backend="reference").transcribe(audio).text
    assert expected
    assert run("transcribe", "--model", program, audio) == (0, f"{expected}\n", "")
    compiled = ("--model", tmp_path / "m.safetensors", "--backend", "simulator")
    assert run("transcribe", *compiled, audio) == (0, f"{expected}\n", "")
    target = ("--target", "mau-stratix10")
    assert run("transcribe", *compiled, *target, audio) == (0, f"{expected}\n", "")


def test_program_holds_a_model_that_any_backend_runs(program: Path) -> None:
    assert load(program).backend == "simulator"
    assert load(program, backend="reference").backend == "reference"


def test_transcribe_with_targets_that_cannot_be(run: Run, program: Path, tmp_path: Path) -> None:
    audio = recording(tmp_path / "x.wav")
    write_model(small_program(1).model, tmp_path / "m.safetensors")
    model = tmp_path / "m.safetensors"
    assert_refused(
        run("transcribe", "--model", program, "--target", "tiny", audio), "compiled for", "tiny"
    )
    for given in (model, program):
        choice = ("--backend", "reference", "--target", "tiny")
        assert_refused(
            run("transcribe", "--model", given, *choice, audio), "add --backend simulator"
        )
    assert_refused(
        run("transcribe", "--model", model, "--backend", "simulator", "--target", "x", audio),
        "target 'x' does not exist",
    )


def test_allow_truncated(run: Run, program: Path, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:8_000])
    status, out, err = run("simulate", program, path)
    assert (status, out) == (2, "")
    assert "or use what is there with --allow-truncated" in err
    status, out, err = run("simulate", program, path, "--allow-truncated")
    assert (status, err.count("\n")) == (0, 1)
    assert "is truncated; these are the cycles of what is there" in err
    assert "a.wav" in out
