"""Checkpoints read without torch hold the weights that torch reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sparsespeech.errors import CheckpointError
from sparsespeech.report.checkpoint_weights import read_checkpoint_weights
from sparsespeech.report.weights import WeightMatrix
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.checkpoint_state import file_digest
from sparsespeech.training.packed_checkpoint import pack_checkpoint

SOURCES = {
    "layer1.weights": "layer1.weight",
    "layer2.weights": "layer2.weight",
    "layer3.weights": "layer3.weight",
    "layer4.forward.input_weights": "layer4.directions.0.weight_ih",
    "layer4.forward.recurrent_weights": "layer4.directions.0.weight_hh",
    "layer5.weights": "layer5.weight",
    "layer6.weights": "layer6.weight",
}


def dense_of(matrix: WeightMatrix) -> np.ndarray:
    dense = np.zeros(matrix.shape, dtype=np.float32)
    dense[matrix.rows(), matrix.column] = matrix.value
    return dense


def assert_weights_are_those_of_torch(found: Path, original: Path, tolerance: float) -> None:
    expected = load_checkpoint(original).weights
    matrices = list(read_checkpoint_weights(found).matrices())
    assert [matrix.name for matrix in matrices] == list(SOURCES)
    for matrix in matrices:
        dense = expected[SOURCES[matrix.name]].numpy()
        np.testing.assert_allclose(dense_of(matrix), dense, rtol=tolerance, atol=0)
        assert matrix.nonzeros == np.count_nonzero(dense)


def checkpoint_folder(run: Path) -> Path:
    return next(run.glob("checkpoints/step-*"))


def test_averaged_weights_come_back_under_the_names_of_model_files(run: Path) -> None:
    assert_weights_are_those_of_torch(run, run, 0)
    assert read_checkpoint_weights(run).step == 7


def test_newest_checkpoint_of_a_run_is_read(run: Path) -> None:
    (run / "checkpoints" / "step-00000009").mkdir()  # incomplete: no state.json
    assert read_checkpoint_weights(run).folder == checkpoint_folder(run)


@pytest.mark.parametrize(("bfloat16", "tolerance"), [(False, 0), (True, 2**-8)])
def test_packed_checkpoints_hold_the_same(
    run: Path, tmp_path: Path, bfloat16: bool, tolerance: float
) -> None:
    packed = tmp_path / "packed"
    pack_checkpoint(run, packed, shard_bytes=4096, bfloat16=bfloat16)
    assert len(list(packed.glob("packed-*.safetensors"))) > 1
    assert_weights_are_those_of_torch(packed, run, tolerance)


def test_damaged_tensors_are_refused(run: Path) -> None:
    path = checkpoint_folder(run) / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        read_checkpoint_weights(run)


def test_damaged_packed_file_is_refused(run: Path, tmp_path: Path) -> None:
    pack_checkpoint(run, tmp_path / "packed")
    path = tmp_path / "packed" / "packed-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        list(read_checkpoint_weights(tmp_path / "packed").matrices())


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 99},
        {"graph": 3},
        {"graph": [{"kind": "unknown"}]},
        {"sha256": None},
        {"features": None},
    ],
)
def test_wrong_state_is_one_error(run: Path, change: dict[str, object]) -> None:
    path = checkpoint_folder(run) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"state\.json"):
        read_checkpoint_weights(run)


def test_missing_weight_is_named(run: Path) -> None:
    path = checkpoint_folder(run) / "state.json"
    state = json.loads(path.read_text())
    state["graph"][0]["name"] = "other"
    path.write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=r"other\.weight is absent"):
        list(read_checkpoint_weights(run).matrices())


def test_folder_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        read_checkpoint_weights(tmp_path)


def test_index_that_leaves_its_folder_is_refused(run: Path, tmp_path: Path) -> None:
    pack_checkpoint(run, tmp_path / "packed")
    path = tmp_path / "packed" / "packed.json"
    index = json.loads(path.read_text())
    index["files"] = {"../run/log.jsonl": {"sha256": ""}}
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="another folder"):
        list(read_checkpoint_weights(tmp_path / "packed").matrices())


def test_no_torch_is_needed(run: Path, tmp_path: Path) -> None:
    pack_checkpoint(run, tmp_path / "packed")
    code = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None; "
        "from sparsespeech.report.checkpoint_weights import read_checkpoint_weights as read; "
        "print(*[m.nonzeros for path in sys.argv[1:] for m in read(Path(path)).matrices()])"
    )
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "packed")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    expected = load_checkpoint(run).weights
    assert [int(count) for count in found] == 2 * [
        int(expected[source].count_nonzero()) for source in SOURCES.values()
    ]


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "average.layer2.weight",
            torch.zeros(6, 7),
            r"layer2\.weight is \[6, 7\], expected \[6, 6\]",
        ),
        (
            "average.layer9.weight",
            torch.zeros(6, 6),
            r"layer9\.weight is \[6, 6\], expected absent",
        ),
        ("average.layer2.weight", torch.zeros(6, 6).double(), r"layer2\.weight is absent"),
    ],
)
def test_weights_that_do_not_fit_the_graph_are_refused(
    run: Path, name: str, tensor: torch.Tensor, message: str
) -> None:
    folder = checkpoint_folder(run)
    tensors = {**load_file(folder / "model.safetensors"), name: tensor}
    save_file(tensors, folder / "model.safetensors")
    state = json.loads((folder / "state.json").read_text())
    state["sha256"]["model.safetensors"] = file_digest(folder / "model.safetensors")
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint_weights(run)
