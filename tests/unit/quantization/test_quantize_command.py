"""``sparsespeech quantize`` from a checkpoint on disk to a model file that runs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import sparsespeech as ss
from sparsespeech.audio.reading import read_audio
from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import Utterance, read_manifest, write_manifest
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.reader import read_model
from sparsespeech.quantization.calibrate import (
    calibrate,
    choose_utterances,
)
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.precision import Precision
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, write_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of coloured noise, half a second each, four of split train."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    utterances = []
    for number in range(6):
        samples = np.convolve(rng.normal(0, 0.05, 8000), rng.normal(0, 1, 8), mode="same")
        path = folder / f"{number}.wav"
        soundfile.write(path, samples.clip(-1, 1), 16000)
        utterances.append(Utterance(path, 0.5, "a", split="train" if number < 4 else "test"))
    write_manifest(folder / "manifest.jsonl", utterances)
    return folder / "manifest.jsonl"


def _save(
    run: Path,
    recipe: dict[str, Any],
    ranges: dict[str, torch.Tensor] | None = None,
    **biases: float,
) -> Checkpoint:
    """Save a random checkpoint; ``layer5=1e9`` puts that into row 1 of the layer's bias.

    ``ranges``: what fixed-point retraining has observed.
    """
    checkpoint = random_checkpoint(hidden=6, context=2, coefficients=26, labels=3)
    for layer, value in biases.items():
        checkpoint.weights[f"{layer}.bias"][1] = value
    checkpoint = replace(checkpoint, mean=np.ones(26), deviation=np.full(26, 5.0))
    trained = {f"fixed_point.{name}": tensor for name, tensor in (ranges or {}).items()}
    write_checkpoint(run, checkpoint, recipe, trained)
    return load_checkpoint(run)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    _save(tmp_path / "run", {"name": "tiny"})
    return tmp_path / "run"


def _quantize(*arguments: object) -> int:
    return main(["quantize", *map(str, arguments)])


def test_the_written_model_runs_with_the_bits_of_fake_quantize(
    run_folder: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tiny.safetensors"
    assert (
        _quantize(
            run_folder,
            "--manifest",
            manifest,
            "--output",
            output,
            "--utterances",
            3,
            "--seed",
            5,
            "--split",
            "train",
            "--json",
        )
        == 0
    )
    figures = json.loads(capsys.readouterr().out)
    model, checkpoint = read_model(output), load_checkpoint(run_folder)
    utterances = read_manifest(manifest, split="train")
    frames = [
        (extract_mfcc(read_audio(u.audio_filepath).samples, checkpoint.features) - 1.0) / 5.0
        for u in choose_utterances(utterances, 3, 5)
    ]
    calibration = calibrate(build_model(checkpoint), frames)
    emulation = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 2, calibration)
    recording = read_audio(utterances[0].audio_filepath)
    raw = extract_mfcc(recording.samples, checkpoint.features)
    integers = quantize_frames(raw, model.input)
    windows = context_windows(integers, 2, model.input.zero_point)
    logits = ReferenceExecutor(model).run(windows)
    expected = emulation.run(torch.from_numpy(windows))["layer6"].integers
    assert logits.any()
    assert np.array_equal(logits, expected.numpy())
    assert figures["bytes_stored"] == output.stat().st_size
    assert figures["calibration_utterances"] == figures["compared_utterances"] == 3
    assert figures["logits_differing_from_reference"] == 0
    assert figures["nonzeros"] == sum(m["nonzeros"] for m in figures["matrices"])
    assert [layer["layer"] for layer in figures["layers"]] == [
        "input",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "layer5",
        "layer6",
    ]
    assert all(layer["sqnr_db"] > 20 for layer in figures["layers"])
    assert figures["per_row"] is False
    assert figures["parameters"] == sum(t.numel() for t in checkpoint.weights.values())


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_a_wide_model_runs_on_the_reference_with_the_bits_of_fake_quantize(
    bits: int,
    per_row: bool,
    run_folder: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "wide.safetensors"
    command = [run_folder, "--manifest", manifest, "--output", output, "--weight-bits", bits]
    assert _quantize(*command, "--per-row" if per_row else "--per-matrix", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["weight_bits"], figures["activation_bits"]) == (bits, 16)
    assert figures["per_row"] is per_row
    assert figures["logits_differing_from_reference"] == 0
    assert figures["layers"][-1]["sqnr_db"] > 30
    model, checkpoint = read_model(output), load_checkpoint(run_folder)
    assert model.activation_bits == 16
    utterances = choose_utterances(read_manifest(manifest), 6, 0)
    frames = [
        (extract_mfcc(read_audio(u.audio_filepath).samples, checkpoint.features) - 1.0) / 5.0
        for u in utterances
    ]
    calibration = calibrate(build_model(checkpoint), frames)
    precision = Precision(bits, 16, per_row)
    emulation = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 2, calibration, precision)
    logits = emulation.run(emulation.windows(torch.from_numpy(frames[0])))["layer6"]
    samples = read_audio(utterances[0].audio_filepath).samples
    found = ss.load(output, backend="reference").log_probabilities(samples)
    expected = log_softmax(
        logits.integers.numpy().astype(np.int64), logits.scale.numpy().astype(np.float32)
    )
    assert np.array_equal(found, expected)


def test_ranges_of_retraining_take_the_place_of_calibration(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A range -2.5 .. 7.7 in every state [minimum, maximum, weight, utterances, frozen]."""
    state = torch.tensor([-2.5 / 2, 7.7 / 2, 0.5, 9.0, 1.0], dtype=torch.float64)
    names = ("input", "layer1", "layer2", "layer3", "layer5")
    recipe = {"fixed_point": {"weight_bits": 16, "activation_bits": 16, "per_row": True}}
    _save(tmp_path / "run", recipe, {name: state.clone() for name in names})
    output = tmp_path / "m.safetensors"
    command = [tmp_path / "run", "--manifest", manifest, "--output", output, "--json"]
    assert _quantize(*command) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["weight_bits"], found["activation_bits"], found["per_row"]) == (16, 16, True)
    assert (found["ranges"], found["calibration_utterances"]) == ("fixed-point retraining", 9)
    scales = {layer["layer"]: layer["scale"] for layer in found["layers"]}
    assert [scales[name] for name in names] == pytest.approx([7.7 / 32767] * 5)
    assert found["compared_utterances"] == 6
    assert _quantize(*command, "--weight-bits", 8, "--per-matrix") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layers"][0]["scale"] == pytest.approx(10.2 / 255)
    assert _quantize(*command, "--recalibrate") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ranges"], found["calibration_utterances"]) == ("calibration", 6)


def test_ranges_of_another_graph_are_refused(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "run", {}, {"input": torch.ones(5, dtype=torch.float64)})
    output = tmp_path / "m.safetensors"
    assert _quantize(tmp_path / "run", "--manifest", manifest, "--output", output) == 2
    assert "ranges of fixed-point retraining" in capsys.readouterr().err


def test_compare_shows_every_choice_of_every_checkpoint(
    run_folder: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "other", {"name": "other"})
    command = [run_folder, tmp_path / "other", "--manifest", manifest, "--compare", "--limit", 4]
    assert _quantize(*command, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    rows = figures["choices"]
    choices = ["float", "int8", "int8 per row", "12 bit", "16 bit"]
    assert [row["choice"] for row in rows] == 2 * choices
    assert figures["utterances"] == 4
    parameters = sum(t.numel() for t in load_checkpoint(run_folder).weights.values())
    assert rows[0]["bytes"] == 4 * parameters
    assert rows[0]["sqnr_db"] is None and rows[0]["difference"] is None
    for row in rows:
        assert row["wer"] >= 0 and row["cer"] >= 0
        if row["choice"] == "float":
            continue
        assert row["logits_differing_from_reference"] == 0
        assert list(row["sqnr_db"]) == ["input"] + [f"layer{n}" for n in range(1, 7)]
    noise = {row["choice"]: row["sqnr_db"]["layer6"] for row in rows[1:5]}
    assert noise["int8"] + 5 < noise["12 bit"] < noise["16 bit"] + 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]
    # A row says what the written model of that choice does.
    output = tmp_path / "m.safetensors"
    assert _quantize(run_folder, "--manifest", manifest, "--output", output) == 0
    assert rows[1]["bytes"] == output.stat().st_size
    capsys.readouterr()
    assert main(["evaluate", str(output), str(manifest), "--limit", "4", "--json"]) == 0
    (evaluated,) = json.loads(capsys.readouterr().out)["models"]
    assert (rows[1]["wer"], rows[1]["cer"]) == (evaluated["wer"], evaluated["cer"])
    assert main(["evaluate", str(run_folder), str(manifest), "--limit", "4", "--json"]) == 0
    (evaluated,) = json.loads(capsys.readouterr().out)["models"]
    assert (rows[0]["wer"], rows[0]["cer"]) == (evaluated["wer"], evaluated["cer"])


def test_the_comparison_as_a_table(
    run_folder: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (run_folder, "--manifest", manifest, "--split", "test", "--compare")
    assert _quantize(*command) == 0
    printed = capsys.readouterr().out
    for expected in ("int8 per row", "12 bit", "label changed", "layer6", "2 utterances"):
        assert expected in printed
    assert "0 logits differ" in " ".join(printed.split())


def test_the_table_of_several_checkpoints_names_their_runs(
    run_folder: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "other", {"name": "other"})
    command = (run_folder, tmp_path / "other", "--manifest", manifest, "--compare", "--limit", 1)
    assert _quantize(*command) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for run in ("run", "other"):
        assert sum(line.startswith(f"{run} 16 bit ") for line in lines) == 1
        assert f"{run}: signal to noise int8 int8 per row 12 bit 16 bit" in lines
    assert sum(line.startswith("layer6 ") for line in lines) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weight-bits", 10), "10-bit weights"),
        (("--weight-bits", 12, "--activation-bits", 8), "12-bit weights with 8-bit"),
        (("--compare", "--output", "m.safetensors"), "--compare writes no model"),
        (("--compare", "--weight-bits", 12), "--compare writes no model"),
        ((), "--output"),
        (("--output", "m.safetensors", "--limit", 3), "--limit"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    options: tuple[object, ...],
    message: str,
    run_folder: Path,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _quantize(run_folder, "--manifest", manifest, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sparsespeech: error: ") and message in line


def test_the_table_names_every_layer_and_matrix(
    run_folder: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tiny.safetensors"
    assert _quantize(run_folder, "--manifest", manifest, "--output", output) == 0
    printed = capsys.readouterr()
    for expected in (
        "layer4.backward.recurrent_weights",
        "signal to noise",
        "rounded to 0",
        "calibrated on 6 utterances",
        f"{output.stat().st_size:,} bytes stored",
    ):
        assert expected in printed.out
    assert printed.err == ""  # the progress bar is for terminals


def test_a_terminal_sees_a_progress_bar(
    run_folder: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    output = tmp_path / "tiny.safetensors"
    assert _quantize(run_folder, "--manifest", manifest, "--output", output) == 0
    assert "calibrate" in capsys.readouterr().err


def test_the_same_command_writes_the_same_bytes(
    run_folder: Path, manifest: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for output in outputs:
        assert _quantize(run_folder, "--manifest", manifest, "--output", output) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_the_recipe_gives_the_defaults_and_options_win(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "run", {"quantization": {"calibration_utterances": 2, "per_row": True}})
    command = (
        tmp_path / "run",
        "--manifest",
        manifest,
        "--output",
        tmp_path / "m.safetensors",
        "--json",
    )
    assert _quantize(*command) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["calibration_utterances"], found["per_row"]) == (2, True)
    assert _quantize(*command, "--utterances", 4, "--per-matrix") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["calibration_utterances"], found["per_row"]) == (4, False)


def test_failures_are_one_line_and_leave_no_file(
    run_folder: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere, output = tmp_path / "nowhere", tmp_path / "m.safetensors"
    commands = {
        "no checkpoint": (nowhere, "--manifest", manifest, "--output", output),
        "cannot read the manifest": (run_folder, "--manifest", nowhere, "--output", output),
        "no utterances of split 'x'": (
            run_folder,
            "--manifest",
            manifest,
            "--output",
            output,
            "--split",
            "x",
        ),
        "create it first": (run_folder, "--manifest", manifest, "--output", nowhere / "m"),
        "must end in .safetensors": (
            run_folder,
            "--manifest",
            manifest,
            "--output",
            tmp_path / "m.bin",
        ),
    }
    for message, command in commands.items():
        assert _quantize(*command) == 2, message
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("sparsespeech: error: ") and message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_network_that_does_not_fit_is_one_line(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(tmp_path / "run", {"name": "tiny"}, layer5=1e9)
    output = tmp_path / "m.safetensors"
    assert _quantize(tmp_path / "run", "--manifest", manifest, "--output", output) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "layer5, row 1" in line
    assert not output.exists()
