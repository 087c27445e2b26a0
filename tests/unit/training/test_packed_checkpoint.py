"""A packed checkpoint serves like the one it was made from."""

import json
from pathlib import Path

import pytest
import torch

from sparsespeech.cli.main import main
from sparsespeech.errors import CheckpointError
from sparsespeech.training.checkpoint import find_checkpoint, load_checkpoint, read_tensors
from sparsespeech.training.loop import train
from sparsespeech.training.packed_checkpoint import pack_checkpoint
from sparsespeech.training.recipe import parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 6)


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    values = tiny_recipe(manifest, fixed_point={"start": 0.4, "freeze": 0.8})
    train(parse_recipe(values, "test"), folder, stop_after=20)
    return folder


def test_everything_comes_back(run: Path, tmp_path: Path) -> None:
    sizes = pack_checkpoint(run, tmp_path / "packed", shard_bytes=8192)
    expected = read_tensors(find_checkpoint(run), "model")
    found = read_tensors(tmp_path / "packed", "model")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    before, after = load_checkpoint(run), load_checkpoint(tmp_path / "packed")
    assert (after.step, after.labels, after.graph) == (before.step, before.labels, before.graph)
    assert after.fixed_point.keys() == before.fixed_point.keys() != set()
    files = list((tmp_path / "packed").glob("*.safetensors"))
    assert len(files) == sizes.files > 1
    assert sizes.largest_file == max(file.stat().st_size for file in files) < 8192
    assert sizes.nonzeros == sum(int((w != 0).sum()) for w in before.weights.values())
    assert sizes.bytes_dense == sum(t.numel() * t.element_size() for t in expected.values())


def test_the_average_alone_is_enough_to_go_on_from(
    run: Path, manifest: Path, tmp_path: Path
) -> None:
    whole = pack_checkpoint(run, tmp_path / "whole")
    lean = pack_checkpoint(run, tmp_path / "lean", average_only=True)
    assert lean.bytes_packed < whole.bytes_packed
    for name, weight in load_checkpoint(run).weights.items():
        assert torch.equal(load_checkpoint(tmp_path / "lean").weights[name], weight)
    model = {"hidden": 16, "features": {"context": 2}, "initial": str(tmp_path / "lean")}
    optimizer = {"steps": 1, "learning_rate": 1e-12, "warmup_steps": 0, "decay_start": 0.9}
    values = tiny_recipe(manifest, model=model, optimizer=optimizer, pruning=None)
    train(parse_recipe(values, "test"), tmp_path / "tuned")
    tuned = load_checkpoint(tmp_path / "tuned")
    for name, weight in load_checkpoint(run).weights.items():
        torch.testing.assert_close(tuned.weights[name], weight, rtol=0, atol=1e-9)


def test_bfloat16_rounds_matrices_and_nothing_else(run: Path, tmp_path: Path) -> None:
    pack_checkpoint(run, tmp_path / "packed", bfloat16=True)
    before, after = load_checkpoint(run), load_checkpoint(tmp_path / "packed")
    for name, weight in before.weights.items():
        rounded = weight.bfloat16().float() if weight.ndim == 2 else weight
        assert torch.equal(after.weights[name], rounded), name
        assert after.weights[name].dtype == torch.float32


def test_a_folder_that_exists_is_left_alone(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="exists already"):
        pack_checkpoint(run, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "deep" / "packed"
    arguments = ["export", str(run), "--packed", "--shard-mib", "0.01", "--output", str(output)]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["step"] == 20
    assert facts["bytes_packed"] == sum(file.stat().st_size for file in output.iterdir())
    assert facts["largest_file"] < 0.01 * 2**20
    assert facts["output"] == str(output)
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(run), "--output", str(tmp_path / "x")]) == 2
    assert "--packed" in capsys.readouterr().err
    other = str(tmp_path / "bf16")
    assert main(["export", str(run), "--packed", "--bfloat16", "--output", other]) == 0
    assert "nonzero" in capsys.readouterr().out
