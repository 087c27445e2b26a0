"""The outer shell of a model file: a safetensors container in one exact spelling, with digests.

Layout: 8 bytes header length N (little endian), N bytes of JSON padded with spaces, the tensors
without holes. The header begins with its own SHA-256, so it is checked before a byte is parsed::

    {"__metadata__":{"header_sha256":"<64 hexadecimal digits>","manifest":"<JSON>"},<tensors>}

The digest covers length and header with the 64 digits replaced by "0"; the manifest inside holds
the digest of each tensor, and the tensors must end where the file ends. So each byte of the file
is covered by a digest. Any safetensors library can read the file.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import canonical_json, limits
from sparsespeech.model_file.canonical_json import shown

Tensors = dict[str, NDArray[Any]]

DTYPES = {
    name: np.dtype(code)
    for name, code in {
        "U8": "u1",
        "I8": "i1",
        "U16": "<u2",
        "I16": "<i2",
        "I32": "<i4",
        "I64": "<i8",
        "F32": "<f4",
        "F64": "<f8",
    }.items()
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH_BYTES = 8
_START = b'{"__metadata__":{"header_sha256":"'
_DIGEST = slice(_LENGTH_BYTES + len(_START), _LENGTH_BYTES + len(_START) + 64)
_BLANK = b"0" * 64
_DIGESTS = "digests"  # key of the manifest: {tensor name: SHA-256}
_DAMAGED = "the file is damaged; fetch or write it again"


class Container(NamedTuple):
    """Manifest without the digests, and the tensors as read-only views of the file's content."""

    manifest: dict[str, Any]
    tensors: Tensors


def serialise(container: Container) -> bytes:
    """The file's bytes; the same container always gives the same bytes."""
    tensors = container.tensors
    order = sorted(tensors, key=lambda name: _place(tensors[name].dtype, name))
    contents = {name: _little_endian(tensors[name]).tobytes() for name in order}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = canonical_json.dump({**container.manifest, _DIGESTS: digests}, "manifest")
    header: dict[str, Any] = {
        "__metadata__": {"header_sha256": _BLANK.decode(), "manifest": manifest}
    }
    position = 0
    for name, content in contents.items():
        header[name] = {
            "dtype": _NAMES[_little_endian(tensors[name]).dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [position, position + len(content)],
        }
        position += len(content)
    text = canonical_json.dump(header, "header", sort_keys=False).encode("utf-8")
    return seal(text) + b"".join(contents.values())


def begins_like_one(path: Path) -> bool:
    """Whether the file at ``path`` has the first bytes of a container; False if it cannot be read.

    Other safetensors files, state dicts among them, begin otherwise.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(_DIGEST.start)[_LENGTH_BYTES:] == _START
    except OSError:
        return False


def seal(header: bytes) -> bytes:
    """Length, padded header and, in its place, the digest over both."""
    padded = header + b" " * (-len(header) % _LENGTH_BYTES)
    block = bytearray(len(padded).to_bytes(_LENGTH_BYTES, "little") + padded)
    block[_DIGEST] = _header_digest(block)
    return bytes(block)


def parse(content: bytes) -> Container:
    """Prove the container (rules F2 to F6) and return what it holds.

    Nothing is allocated before its size is compared with the length of ``content``; the tensors
    are views. Raises ModelFileError naming tensor and rule.
    """
    text, buffer = _split(content)
    header = canonical_json.load(text, "header", sort_keys=False)
    metadata = header.pop("__metadata__")  # present: the header starts with it
    if (
        list(metadata) != ["header_sha256", "manifest"]
        or len(metadata["header_sha256"]) != len(_BLANK)
        or not isinstance(metadata["manifest"], str)
    ):
        raise ModelFileError(
            "header: __metadata__ must hold 'header_sha256', 64 digits, and the "
            "text 'manifest' alone (rule F3)"
        )
    tensors = _tensor_views(header, buffer)
    manifest = canonical_json.load(metadata["manifest"], "manifest")
    _check_digests(manifest.pop(_DIGESTS, None), tensors)
    return Container(manifest, tensors)


def _place(dtype: np.dtype[Any], name: str) -> tuple[int, str]:
    """Order of the tensors in the file: wide elements first, so that all are aligned."""
    return -dtype.itemsize, name


def _little_endian(tensor: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))


def _header_digest(block: bytes | bytearray) -> bytes:
    blanked = bytearray(block)
    blanked[_DIGEST] = _BLANK
    return hashlib.sha256(blanked).hexdigest().encode("ascii")


def _split(content: bytes) -> tuple[str, memoryview]:
    """Header text without padding, and the buffer; proves rules F2 and F3."""
    if content[_LENGTH_BYTES : _DIGEST.start] != _START:
        raise ModelFileError(
            f"header: does not start with {_START.decode()}; this is no sparsespeech model file, "
            "or it is damaged (rule F3)"
        )
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    end = _LENGTH_BYTES + length
    if not _DIGEST.stop <= end <= len(content):
        raise ModelFileError(
            f"header: declares {length} bytes, the file holds {len(content)} in all; {_DAMAGED} "
            "(rule F2)"
        )
    if length > limits.HEADER_BYTES or length % _LENGTH_BYTES:
        raise ModelFileError(
            f"header: length {length} must be a multiple of {_LENGTH_BYTES}, at most "
            f"{limits.HEADER_BYTES} (rule F2)"
        )
    block = content[:end]
    if block[_DIGEST] != _header_digest(block):
        raise ModelFileError(f"header: SHA-256 differs from header_sha256; {_DAMAGED} (rule F3)")
    header = block[_LENGTH_BYTES:]
    text = header.rstrip(b" ")
    if len(header) - len(text) >= _LENGTH_BYTES:
        raise ModelFileError(
            f"header: padded with {len(header) - len(text)} spaces, at most "
            f"{_LENGTH_BYTES - 1} are needed (rule F2)"
        )
    try:
        return text.decode("utf-8"), memoryview(content)[end:]
    except UnicodeDecodeError as error:
        raise ModelFileError(f"header: not UTF-8 at byte {error.start} (rule F4)") from None


def _tensor_views(header: dict[str, Any], buffer: memoryview) -> Tensors:
    """The tensors of the directory; proves rule F5: no hole, no overlap, nothing left over."""
    tensors: Tensors = {}
    position = 0
    place: tuple[int, str] = (-DTYPES["F64"].itemsize, "")
    for name, entry in header.items():
        where = f"tensor {shown(name)}"
        dtype, shape, begin, end = _directory_entry(where, entry)
        if begin != position:
            flaw = "overlaps the tensor before it" if begin < position else "leaves a hole"
            raise ModelFileError(
                f"{where}: begins at {begin}, expected {position}: it {flaw} (rule F5)"
            )
        if end - begin != dtype.itemsize * math.prod(shape):
            raise ModelFileError(
                f"{where}: {_NAMES[dtype]}{shape} takes "
                f"{dtype.itemsize * math.prod(shape)} bytes, data_offsets span "
                f"{end - begin} (rule F5)"
            )
        if end > len(buffer):
            raise ModelFileError(
                f"{where}: ends at {end}, but {len(buffer)} bytes follow the "
                "header; the file is cut short (rule F5)"
            )
        if _place(dtype, name) <= place:
            raise ModelFileError(
                f"{where}: out of order; wide elements first, then by name (rule F5)"
            )
        tensors[name] = np.frombuffer(buffer[begin:end], dtype=dtype).reshape(shape)
        position, place = end, _place(dtype, name)
    if position != len(buffer):
        raise ModelFileError(
            f"file: {len(buffer) - position} bytes follow the last tensor (rule F5)"
        )
    return tensors


def _directory_entry(where: str, entry: Any) -> tuple[np.dtype[Any], list[int], int, int]:
    if not isinstance(entry, dict) or list(entry) != ["dtype", "shape", "data_offsets"]:
        raise ModelFileError(
            f"{where}: must be an object of dtype, shape, data_offsets in this order (rule F5)"
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise ModelFileError(
            f"{where}: dtype {shown(entry['dtype'])} is not one of {sorted(DTYPES)} (rule F5)"
        )
    if not _are_counts(shape) or len(shape) not in (1, 2):
        raise ModelFileError(f"{where}: shape {shown(shape)} must be one or two counts (rule F5)")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelFileError(
            f"{where}: data_offsets {shown(offsets)} must be a begin and an end (rule F5)"
        )
    return DTYPES[entry["dtype"]], shape, offsets[0], offsets[1]


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= limits.FILE_BYTES for value in values
    )


def _check_digests(digests: Any, tensors: Tensors) -> None:
    """Rule F6: one digest a tensor, each equal to the SHA-256 of the tensor's bytes."""
    if not isinstance(digests, dict) or set(digests) != set(tensors):
        raise ModelFileError("manifest: 'digests' must name each tensor of the file once (rule F6)")
    for name, tensor in tensors.items():
        if hashlib.sha256(tensor.data).hexdigest() != digests[name]:
            raise ModelFileError(
                f"tensor {shown(name)}: SHA-256 differs from the manifest; {_DAMAGED} (rule F6)"
            )
