"""Reading a state dict: tensors by name and nothing else.

A torch file is a pickle, and a pickle may run any code. It is loaded with ``weights_only=True``
alone, which builds tensors, numbers, texts and plain containers and refuses everything else.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparsespeech.errors import ExchangeError
from sparsespeech.model_file.lookup import bundled_models

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
SAFETENSORS_SUFFIX = ".safetensors"
_OTHER_FORMATS = {
    ".pbmm": "an inference graph of Mozilla DeepSpeech",
    ".pb": "a TensorFlow graph",
    ".onnx": "an ONNX graph",
    ".tflite": "a TensorFlow Lite graph",
    ".scorer": "a language model of Mozilla DeepSpeech",
    ".index": "a TensorFlow checkpoint",
    ".meta": "a TensorFlow checkpoint",
    ".h5": "a Keras file",
    ".keras": "a Keras file",
    ".nemo": "a NeMo archive",
}
_ADVICE = "save torch.save(model.state_dict(), 'model.pt') and import that"


@dataclass(frozen=True, eq=False)
class StateDict:
    """Tensors of one file, of any dtype.

    ``ordered``: they stand in the order in which the modules were made. A safetensors file does
    not keep that order.
    """

    path: Path
    tensors: dict[str, Tensor]
    ordered: bool


def read_state_dict(path: Path, key: str | None = None) -> StateDict:
    """The tensors of a torch or safetensors file; raises ExchangeError.

    Training scripts often save a dictionary that holds the state dict under some name: ``key``
    says which; without it, the only entry that holds tensors is taken.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise ExchangeError(
            f"{path}: is {_OTHER_FORMATS[suffix]}, which cannot be imported; expected a torch "
            f"state dict ({', '.join(TORCH_SUFFIXES)}) or {SAFETENSORS_SUFFIX}: rebuild the "
            f"network in torch, copy its weights, and {_ADVICE}"
        )
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ExchangeError(
            f"{path}: {what}; expected a torch state dict, a {SAFETENSORS_SUFFIX} file or the name "
            f"of a bundled model ({', '.join(bundled_models())})"
        )
    if suffix == SAFETENSORS_SUFFIX:
        return StateDict(path, _read_safetensors(path), ordered=False)
    if suffix not in TORCH_SUFFIXES:
        raise ExchangeError(
            f"{path}: a state dict must end in {', '.join(TORCH_SUFFIXES)} or {SAFETENSORS_SUFFIX}"
        )
    return StateDict(path, _find_tensors(path, _read_torch(path), key), ordered=True)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ExchangeError(f"{path}: cannot read: {error}") from None
    return tensors


def _read_torch(path: Path) -> Any:
    with path.open("rb") as stream:
        start = stream.read(4)
    if start[:2] not in (b"PK", b"\x80\x02"):  # a zip archive, or the pickle of torch before 1.6
        raise ExchangeError(f"{path}: is no file of torch.save; {_ADVICE}")
    if start[:2] == b"PK" and _holds_a_program(path):
        raise ExchangeError(f"{path}: is a TorchScript program, not a state dict; {_ADVICE}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler meets damaged bytes with errors of any type
        reason = str(error)
        if "weights only load failed" in reason.lower():
            raise ExchangeError(
                f"{path}: holds Python objects beside tensors, and loading those could run any "
                f"code, so it is refused; {_ADVICE}"
            ) from None
        raise ExchangeError(
            f"{path}: cannot read, the file is damaged ({type(error).__name__}); copy it again"
        ) from None


def _holds_a_program(path: Path) -> bool:
    """True for the archive of ``torch.jit.save``, which ``torch.load`` would run."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False  # torch.load names what is wrong


def _find_tensors(path: Path, content: Any, key: str | None) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise ExchangeError(
            f"{path}: holds a {type(content).__name__}, expected a dictionary of tensors; {_ADVICE}"
        )
    if key is not None:
        if not _is_state_dict(content.get(key)):
            raise ExchangeError(
                f"{path}: no state dict under --key {key!r}; found under: {_candidates(content)}"
            )
        return dict(content[key])
    if _is_state_dict(content):
        return dict(content)
    inner = [name for name, value in content.items() if _is_state_dict(value)]
    if len(inner) != 1:
        raise ExchangeError(
            f"{path}: is no state dict and holds {len(inner)} of them; choose one with --key "
            f"({_candidates(content)})"
        )
    return dict(content[inner[0]])


def _candidates(content: Mapping[Any, Any]) -> str:
    names = [repr(name) for name, value in content.items() if _is_state_dict(value)]
    return ", ".join(names) or "none"


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
        and all(isinstance(entry, Tensor) for entry in value.values())
    )
