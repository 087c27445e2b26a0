"""``sparsespeech import`` from the command line, and what the later commands make of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sparsespeech.backend import backend_names, is_built, load_backend
from sparsespeech.cli.main import main
from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.model_file.reader import read_model
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.recipe import parse_recipe
from tests.foreign_network import ForeignNetwork, describe
from tests.tone_corpus import tiny_recipe, write_corpus

FEATURES = {"context": 2}


def write_foreign(folder: Path, stack: int = 1) -> tuple[Path, Path]:
    """State dict and description of a network over 26 coefficients; clip 20."""
    foreign = ForeignNetwork(widths=(12, 10), stack=stack, context=2, coefficients=26, clip=20.0)
    torch.save(foreign.state_dict(), folder / "model.pt")
    statistics = {"mean": 0.0, "deviation": 10.0}
    described = describe(
        folder / "describe.yaml", clip=20, features=FEATURES, normalisation=statistics
    )
    return folder / "model.pt", described


def test_report_and_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, described = write_foreign(tmp_path, stack=2)
    run = tmp_path / "run"
    assert main(["import", str(model), "--describe", str(described), "--output", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "layer4   rnn.l1    lstm" in " ".join(out.split(" "))
    assert "both directions, 4 cells" in out
    assert err.startswith("sparsespeech: warning: cell states saturate at +-16")
    assert err.count("\n") == 1
    assert out.strip().endswith(f"checkpoint: {run / 'checkpoints' / 'step-00000000'}")


def test_json_with_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, described = write_foreign(tmp_path)
    manifest = write_corpus(tmp_path / "corpus", 3)
    arguments = ["--describe", str(described), "--output", str(tmp_path / "run")]
    assert main(
        ["import", str(model), *arguments, "--check", str(manifest), "--limit", "2", "--json"]
    ) == 0  # fmt: skip
    out, err = capsys.readouterr()
    figures = json.loads(out)
    parameters = sum(tensor.numel() for tensor in torch.load(model).values())
    assert figures["parameters"] == parameters
    assert sum(layer["parameters"] for layer in figures["layers"]) == parameters
    assert [layer["source"] for layer in figures["layers"]] == [
        "dense.0", "dense.1", "rnn.l0", "head",
    ]  # fmt: skip
    check = figures["check"]
    assert check["frames"] * 4 * 2 == check["cells"] > 0
    assert 0 < check["largest_cell"]["layer3"] < 16
    assert check["cells_beyond_limit"] == check["argmax_changed"] == 0
    assert err == ""


def test_options_in_place_of_a_file(tmp_path: Path) -> None:
    foreign = ForeignNetwork(context=9, coefficients=26)
    torch.save({"epoch": 1, "net": foreign.state_dict()}, tmp_path / "m.ckpt")
    options = "--clip 6 --blank first --normalisation none --layers dense.0,dense.1,rnn,head"
    arguments = [str(tmp_path / "m.ckpt"), "--labels", " abcd", "--output", str(tmp_path / "run")]
    assert main(["import", *arguments, *options.split(), "--key", "net"]) == 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--key", "x"], "no state dict under --key 'x'"),
        (["--clip", "soft"], "clip"),
        (["--layers", "a,b"], "must name each of dense.0, dense.1, rnn, head"),
        (["--check", "nowhere.jsonl"], "nowhere.jsonl: cannot read the manifest"),
        (["--describe", "nowhere.yaml"], "nowhere.yaml: cannot read"),
        (["--limit", "0"], "--limit"),
        (["--limit", "5"], "goes with --check"),
        (["--normalisation", "foo"], "normalisation: expected none, or mean and deviation"),
        (["--clip", "abc"], "clip: expected a number above 0 and up to"),
        (["--blank", "middle"], "blank: expected first, last or the number of a class, got 'midd"),
        (["--train", "nowhere.jsonl"], "--train and --development go together"),
        (["--train", "a.jsonl", "--development", "b.jsonl"], "a.jsonl: cannot read the manifest"),
    ],
    ids=str,
)
def test_failures_are_one_line_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], part: str
) -> None:
    model, described = write_foreign(tmp_path)
    run = tmp_path / "run"
    arguments = ["import", str(model), "--describe", str(described), "--output", str(run)]
    assert main([*arguments, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert part in err
    assert not run.exists()


def test_mozilla_graph_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "x.pbmm"), "--output", str(tmp_path / "run")]) == 2
    assert "x.pbmm: is an inference graph of Mozilla DeepSpeech" in capsys.readouterr().err


def test_a_recording_that_cannot_be_checked_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, described = write_foreign(tmp_path)
    manifest = write_corpus(tmp_path / "corpus", 2)
    run = tmp_path / "run"
    command = ["import", str(model), "--describe", str(described), "--output", str(run)]
    recording = tmp_path / "corpus" / "0001.wav"
    content = recording.read_bytes()
    recording.write_bytes(b"no sound")
    assert main([*command, "--check", str(manifest)]) == 2
    assert "0001.wav" in capsys.readouterr().err
    assert not run.exists()
    recording.write_bytes(content)
    assert main([*command, "--check", str(manifest)]) == 0
    recording.write_bytes(b"no sound")  # that the folder is taken is found before any check
    capsys.readouterr()
    assert main([*command, "--check", str(manifest)]) == 2
    assert "holds checkpoints already" in capsys.readouterr().err


def test_a_bundled_model_is_imported_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(write_corpus(tmp_path / "corpus", 2))
    run = tmp_path / "run"
    speech = ["--train", manifest, "--development", manifest]
    assert main(["import", "english-small", "--output", str(run), *speech]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # nothing is said of saturation: the model trained with it
    assert "28 symbols and the blank" in out
    assert f"next: sparsespeech prune {run} --sparsity 0.93" in out  # half of what is left
    shown = load_checkpoint(run)
    assert shown.facts["progress"]["imported"]["file"] == "english-small.safetensors"
    assert shown.facts["progress"]["sparsity"] > 0.85
    assert read_model(bundled_models()["english-small"]).labels == shown.labels


def test_a_path_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("an4").mkdir()
    Path("an4/model.safetensors").write_bytes(bundled_models()["english-small"].read_bytes())
    assert main(["import", "./an4", "--output", "run"]) == 0
    assert load_checkpoint(Path("run")).graph == read_model(bundled_models()["english-small"]).graph


def test_a_name_of_nothing_is_answered_with_the_bundled_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "english-medim", "--output", str(tmp_path / "run")]) == 2
    assert "no such file; expected a torch state dict" in (err := capsys.readouterr().err)
    assert "english-medium" in err


def test_a_sparse_network_keeps_its_zeros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "english-small", "--output", str(tmp_path / "run")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "pruning:" in line]
    pruning = yaml.safe_load(line)["pruning"]
    assert pruning["keep_zeros"] is True
    assert pruning["start"] == 0.0
    assert 0.92 < pruning["final_sparsity"] < 0.94
    values = tiny_recipe(tmp_path / "m.jsonl", pruning=pruning)
    assert parse_recipe(values, "test").pruning is not None


@pytest.mark.parametrize(
    "option", [["--clip", "20"], ["--check", "x.jsonl"], ["--key", "net"], ["--ignore", "x"]]
)
def test_a_model_file_needs_no_description(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    run = tmp_path / "run"
    assert main(["import", "english-small", "--output", str(run), *option]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{option[0]}: is for state dicts" in err
    assert not run.exists()


def test_damaged_model_files_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(bundled_models()["english-small"].read_bytes())
    content[-1] ^= 1
    (tmp_path / "m.safetensors").write_bytes(content)
    assert main(["import", str(tmp_path / "m.safetensors"), "--output", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "m.safetensors" in err
    assert "damaged" in err


@pytest.mark.slow
@pytest.mark.parametrize("stack", [1, 2])
def test_imported_network_goes_through_every_later_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stack: int
) -> None:
    model, described = write_foreign(tmp_path, stack=stack)
    manifest = str(write_corpus(tmp_path / "corpus", 6))
    imported, trained = str(tmp_path / "imported"), str(tmp_path / "trained")
    assert main(["import", str(model), "--describe", str(described), "--output", imported]) == 0
    recipe = tiny_recipe(
        Path(manifest),
        model={"architecture": "initial", "initial": imported, "features": FEATURES},
        pruning={"final_sparsity": 0.8, "start": 0.2, "end": 0.6, "updates": 5,
                 "exceptions": {r"^layer1\.": 0.5, rf"^layer{3 + stack}\.": 0.0}},
    )  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(tmp_path / "r.yaml"), "--output", trained, "--threads", "1"]) == 0
    for name, run in (("dense", imported), ("sparse", trained)):
        written = str(tmp_path / f"{name}.safetensors")
        capsys.readouterr()
        options = ["--manifest", manifest, "--output", written, "--json"]
        assert main(["quantize", run, *options]) == 0
        quantized = json.loads(capsys.readouterr().out)
        assert quantized["logits_differing_from_reference"] == 0
        assert (quantized["sparsity"] > 0.5) == (name == "sparse")
        assert main(["evaluate", run, written, manifest, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["models"]) == 2
        windows = np.random.default_rng(0).integers(0, 256, (9, 5 * 26), np.uint8)
        logits = [
            load_backend(backend)(read_model(Path(written))).run(windows)
            for backend in backend_names()
            if is_built(backend) and backend != "simulator"  # imported networks may be of any kind
        ]
        assert all(np.array_equal(logits[0], other) for other in logits)


@pytest.mark.slow
def test_prune_trains_an_imported_network_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, described = write_foreign(tmp_path, stack=2)
    write_corpus(tmp_path / "corpus", 6)
    monkeypatch.chdir(tmp_path)
    speech = ["--train", "corpus/manifest.jsonl", "--development", "corpus/manifest.jsonl"]
    arguments = [str(model), "--describe", str(described), "--output", "imported", *speech]
    assert main(["import", *arguments]) == 0
    assert "next: sparsespeech prune imported " in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the manifests are found from everywhere
    options = [
        "--sparsity",
        "0.9",
        "--exceptions",
        r"^layer5\.=0",
        "--steps",
        "6",
        "--threads",
        "1",
    ]
    assert main(["prune", "../imported", *options, "--output", "pruned"]) == 0
    weights = load_checkpoint(Path("pruned")).weights
    zeros = {name: float((w == 0).float().mean()) for name, w in weights.items() if w.ndim == 2}
    assert zeros["layer5.weight"] == 0.0
    assert zeros["layer4.directions.1.weight_ih"] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("section", "changes", "part"),
    [
        ("model", {"features": {"context": 1}}, "write model.features: {'context': 2}"),
        ("model", {"initial": None}, "name it as model.initial"),
        ("data", {"symbols": " abcde"}, "writes ' abcd'"),
    ],
    ids=str,
)
def test_recipe_that_does_not_fit_the_imported_network(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    changes: dict[str, object],
    part: str,
) -> None:
    model, described = write_foreign(tmp_path)
    run = str(tmp_path / "imported")
    assert main(["import", str(model), "--describe", str(described), "--output", run]) == 0
    recipe = tiny_recipe(
        write_corpus(tmp_path / "corpus", 2),
        model={"architecture": "initial", "initial": run, "features": FEATURES},
    )
    values = recipe[section]
    assert isinstance(values, dict)
    values.update(changes)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    capsys.readouterr()
    assert main(["train", str(tmp_path / "r.yaml"), "--output", str(tmp_path / "trained")]) == 2
    assert part in capsys.readouterr().err


@pytest.mark.parametrize("speech", [False, True])
def test_the_advice_for_a_network_of_one_layer_prunes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], speech: bool
) -> None:
    torch.save(torch.nn.Linear(5 * 26, 6).state_dict(), tmp_path / "model.pt")
    described = describe(tmp_path / "describe.yaml", features=FEATURES)
    run = str(tmp_path / "imported")
    command = ["import", str(tmp_path / "model.pt"), "--describe", str(described)]
    if speech:
        manifest = str(write_corpus(tmp_path / "corpus", 2))
        command += ["--train", manifest, "--development", manifest]
    assert main([*command, "--output", run]) == 0
    shown = capsys.readouterr().out
    if not speech:
        assert "pruning: {final_sparsity: 0.9, exceptions: {}}" in shown
        return
    advice = next(line for line in shown.splitlines() if line.startswith("next: sparsespeech "))
    words = shlex.split(advice.removeprefix("next: sparsespeech "))
    assert main([*words, "--one-shot", "--steps", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sparsity"] == pytest.approx(0.9, abs=0.001)
