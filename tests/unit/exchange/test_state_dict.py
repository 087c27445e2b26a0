"""Files are read without running what they hold, and each bad one is one clear error."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.state_dict import read_state_dict
from tests.foreign_network import ForeignNetwork


def failure(path: Path, key: str | None = None) -> str:
    with pytest.raises(ExchangeError) as caught:
        read_state_dict(path, key)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_torch_file_keeps_order_and_numbers(tmp_path: Path) -> None:
    state = ForeignNetwork().state_dict()
    for name, new in (("new.pt", True), ("old.pth", False)):
        path = tmp_path / name
        torch.save(state, path, _use_new_zipfile_serialization=new)
        found = read_state_dict(path)
        assert found.ordered
        assert list(found.tensors) == list(state)
        assert all(torch.equal(found.tensors[key], state[key]) for key in state)


def test_safetensors_file_has_no_order(tmp_path: Path) -> None:
    state = ForeignNetwork().state_dict()
    path = tmp_path / "m.safetensors"
    save_file(state, path)
    found = read_state_dict(path)
    assert not found.ordered
    assert set(found.tensors) == set(state)


def test_state_dict_inside_a_training_checkpoint(tmp_path: Path) -> None:
    state, path = ForeignNetwork().state_dict(), tmp_path / "m.pt"
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, path)
    assert list(read_state_dict(path).tensors) == list(state)
    torch.save({"model": state, "ema": {"w": torch.zeros(2, 3)}}, path)
    assert "choose one with --key ('model', 'ema')" in failure(path)
    assert list(read_state_dict(path, "ema").tensors) == ["w"]
    assert "no state dict under --key 'x'; found under: 'model', 'ema'" in failure(path, "x")


def test_a_pickle_with_code_never_runs(tmp_path: Path) -> None:
    target = tmp_path / "was_run"

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (target,))  # type: ignore[return-value]  # any callable will do

    for name, new in (("new.pt", True), ("old.pt", False)):
        path = tmp_path / name
        torch.save({"w": Attack()}, path, _use_new_zipfile_serialization=new)
        assert "could run any code" in failure(path)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Attack(), protocol=2))
    assert "cannot read" in failure(plain) or "could run any code" in failure(plain)
    assert not target.exists()


def test_whole_module_and_namespace_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    for content in (nn.Linear(2, 3), {"args": argparse.Namespace(a=1), "w": torch.zeros(1)}):
        torch.save(content, path)
        assert "torch.save(model.state_dict()" in failure(path)


def test_torchscript_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(nn.Linear(2, 3)), path)
    assert "is a TorchScript program" in failure(path)


@pytest.mark.parametrize(
    ("name", "part"),
    [("deepspeech-0.9.3-models.pbmm", "an inference graph of Mozilla DeepSpeech"),
     ("model.tflite", "a TensorFlow Lite graph"), ("best.index", "a TensorFlow checkpoint"),
     ("m.ONNX", "an ONNX graph"),
     ("m.pt", "no such file"), ("m.safetensors", "no such file")],
)  # fmt: skip
def test_files_of_others(tmp_path: Path, name: str, part: str) -> None:
    assert part in failure(tmp_path / name)


def test_no_file_of_torch(tmp_path: Path) -> None:
    folder = tmp_path / "folder.pt"
    folder.mkdir()
    assert "is a folder" in failure(folder)
    odd = tmp_path / "m.wav"
    odd.write_bytes(b"RIFF")
    assert "must end in .pt" in failure(odd)
    for content in (b"", b"hello", b"PK", b"\x80\x02.", b"\x80\x02}q"):
        path = tmp_path / "m.pt"
        path.write_bytes(content)
        failure(path)


@pytest.mark.parametrize("content", [3, [torch.zeros(1)], {}, {"a": 1}, {1: torch.zeros(1)}])
def test_content_without_tensors_by_name(tmp_path: Path, content: object) -> None:
    path = tmp_path / "m.pt"
    torch.save(content, path)
    failure(path)


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    for suffix in (".pt", ".safetensors"):
        path = tmp_path / f"m{suffix}"
        if suffix == ".pt":
            torch.save(ForeignNetwork().state_dict(), path)
        else:
            save_file(ForeignNetwork().state_dict(), path)
        whole = path.read_bytes()
        for length in (1, 7, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert "cannot read" in failure(path) or suffix == ".pt"
