"""Sparse tensors in small files: they come back, and damage is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sparsespeech.errors import CheckpointError
from sparsespeech.training.packed_reader import is_packed
from sparsespeech.training.packed_tensors import read_packed, write_packed
from tests.little_memory import little_memory

LIMIT = 6000
# What a graph would say of the parameters below.
SHAPES = {
    **dict.fromkeys(("a", "dense", "float", "half"), (60, 100)),
    "bias": (3,), "zero": (7, 9), "ones": (5, 4), "long": (5000,), "large": (512, 512),
}  # fmt: skip


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    sparse = torch.randn(60, 100, generator=random)
    mask = torch.rand(60, 100, generator=random) < 0.05
    return {
        "average.a": sparse * mask,  # holds -0.0 too
        "weights.a": 3 * sparse * mask,
        "masks.a": mask,
        "masks.float": mask.float(),
        "average.half": (sparse * (torch.rand(60, 100, generator=random) < 0.3)).bfloat16(),
        "average.dense": sparse.clone(),
        "average.bias": torch.tensor([0.0, 1.5, 0.0]),
        "average.zero": torch.zeros(7, 9),
        "average.ones": torch.ones(5, 4),
        "fixed_point.input": torch.tensor([0.0, 1.0, 0.1, 5.0, 0.0], dtype=torch.float64),
        "policy.skipped": torch.tensor(3),
        "policy.norms": torch.zeros(0, dtype=torch.float64),
    }


def test_tensors_come_back(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    assert not is_packed(tmp_path)
    index = write_packed(tmp_path, tensors, LIMIT)
    assert is_packed(tmp_path)
    found = read_packed(tmp_path, SHAPES)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        expected = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        assert found[name].dtype == expected.dtype, name
        assert torch.equal(found[name], expected), name
    assert not torch.signbit(found["average.zero"]).any()
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [file.name for file in files] == list(index["files"])
    assert len(files) > 4  # the dense tensor alone is 24,000 bytes
    for file in files:
        assert 0 < file.stat().st_size == index["files"][file.name]["bytes"] < LIMIT


def test_only_nonzeros_are_stored_and_equal_places_once(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    chosen = {name: tensors[name] for name in ("average.a", "weights.a", "masks.a", "masks.float")}
    write_packed(tmp_path, chosen)
    pieces = load_file(tmp_path / "packed-00001.safetensors")
    nonzeros = int(tensors["masks.a"].sum())
    sizes = {name: piece.numel() * piece.element_size() for name, piece in pieces.items()}
    assert set(sizes) == {"average.a.places#0", "average.a.values#0", "weights.a.values#0"}
    assert sizes["average.a.values#0"] == 4 * nonzeros
    assert nonzeros <= sizes["average.a.places#0"] < 1.1 * nonzeros


@pytest.mark.parametrize("bytes_more", [0, 1, 2, 3, 4, 5])
def test_a_limit_that_cuts_anywhere(tmp_path: Path, bytes_more: int) -> None:
    tensors = {"a": torch.arange(5000.0), "b": torch.arange(3000, dtype=torch.int64)}
    write_packed(tmp_path, tensors, 4096 + bytes_more)
    for name, tensor in read_packed(tmp_path, SHAPES).items():
        assert torch.equal(tensor, tensors[name])
    assert max(file.stat().st_size for file in tmp_path.glob("*.safetensors")) < 4096 + bytes_more


def test_headers_count(tmp_path: Path) -> None:
    """Of many tiny tensors the names take more room than the values."""
    tensors = {f"policy.a_long_name_of_a_tensor.{n}": torch.full((3,), n / 7) for n in range(300)}
    write_packed(tmp_path, tensors, 4096)
    assert max(file.stat().st_size for file in tmp_path.glob("*.safetensors")) < 4096
    found = read_packed(tmp_path, SHAPES)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_what_cannot_be_packed_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="x: tensors of type complex64"):
        write_packed(tmp_path, {"x": torch.zeros(2, 2, dtype=torch.complex64)})
    with pytest.raises(CheckpointError, match="too small"):
        write_packed(tmp_path, {}, 100)


def change(folder: Path, *keys: str, value: Any) -> None:
    index = json.loads((folder / "packed.json").read_text())
    place = index
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    (folder / "packed.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("format_version",), 2),
        (("files", "packed-00001.safetensors"), None),
        (("files", "../x.safetensors"), {"sha256": ""}),
        (("tensors", "average.a", "shape"), [60, 10]),
        (("tensors", "average.a", "shape"), [-60, -100]),
        (("tensors", "average.a", "shape"), [2**20, 2**20]),
        (("tensors", "average.a", "type"), "float8"),
        (("tensors", "average.a", "coding"), "bits"),
        (("tensors", "average.a", "values"), "average.dense.values"),
        (("tensors", "average.a", "places"), "nowhere"),
        (("tensors", "average.dense", "shape"), [3]),
        (("tensors", "average.dense", "values"), None),
        (("tensors", "average.dense", "values"), "policy.skipped.values"),
        (("tensors", "average.dense", "shape"), [60.0, 100]),
        (("tensors", "average.dense", "shape"), [60, 10**400]),
        (("tensors", "average.a", "places"), "average.a.values"),
        (("tensors", "average.a"), 5),
        (("files",), []),
        (("files", "packed-00001.safetensors", "sha256"), 5),
        (("tensors",), None),
        (("tensors",), [1]),
    ],
)
def test_an_index_that_does_not_fit_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], keys: tuple[str, ...], value: Any
) -> None:
    write_packed(tmp_path, tensors, LIMIT)
    change(tmp_path, *keys, value=value)
    with pytest.raises(CheckpointError) as caught:
        read_packed(tmp_path, SHAPES)
    assert "\n" not in str(caught.value)


def test_a_damaged_or_missing_file_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write_packed(tmp_path, tensors, LIMIT)
    file = tmp_path / "packed-00002.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"packed-00002\.safetensors: SHA-256 differs"):
        read_packed(tmp_path, SHAPES)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"packed-00002\.safetensors: cannot read"):
        read_packed(tmp_path, SHAPES)


def test_a_small_file_stands_for_no_large_tensors(tmp_path: Path) -> None:
    """Zeros take no room in a file: the graph and the stored bytes bound what is made of them."""
    empty = torch.zeros(2**11, 2**11)
    write_packed(tmp_path, {"average.large": empty})
    assert torch.equal(read_packed(tmp_path, {"large": (2**11, 2**11)})["average.large"], empty)
    change(tmp_path, "tensors", "average.large", "shape", value=[2**16, 2**16])
    for parameters, message in (
        ({"large": (2**11, 2**11)}, r"average\.large is \[65536, 65536\], the graph needs \[2048"),
        ({"other": (2**11, 2**11)}, r"the graph has no such parameter"),
        ({"large": (2**16, 2**16)}, r"4294967296 elements in 0 stored bytes"),
    ):
        with little_memory(), pytest.raises(CheckpointError, match=message):
            read_packed(tmp_path, parameters)


def test_tensors_beside_the_graph_are_small(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"policy\.x has 65792 elements"):
        write_packed(tmp_path, {"policy.x": torch.zeros(257, 256)})
    assert not is_packed(tmp_path)


def test_what_could_not_be_read_again_is_not_packed(tmp_path: Path) -> None:
    """Two nonzeros among 4 million and 1: no network, and a bomb where it is read."""
    sparse = torch.zeros(2**11 + 8, 2**11)
    sparse[0, 0] = sparse[-1, -1] = 1.0
    write_packed(tmp_path, {"average.large": sparse})
    found = read_packed(tmp_path, {"large": (2**11 + 8, 2**11)})["average.large"]
    assert torch.equal(found, sparse)
    sparse[-1, -1] = 0.0
    with pytest.raises(CheckpointError, match="cannot pack: 4210688 elements in 1 stored bytes"):
        write_packed(tmp_path, {"average.large": sparse})


def test_sizes_follow_the_density(tmp_path: Path) -> None:
    """At 96 % sparsity a weight costs a little more than 4 bytes and a byte of place."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((512, 512)).astype(np.float32)
    weights[random.random(weights.shape) < 0.96] = 0.0
    write_packed(tmp_path, {"average.large": torch.from_numpy(weights)})
    nonzeros = np.count_nonzero(weights)
    size = (tmp_path / "packed-00001.safetensors").stat().st_size
    assert 5 * nonzeros < size < 5.05 * nonzeros + 1000
