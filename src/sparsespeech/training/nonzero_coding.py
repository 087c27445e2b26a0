"""Where the nonzeros of a sparse tensor are, in few bytes.

Axes: n elements of the flattened tensor, k nonzeros, b bytes.

Two codings, the smaller one is taken: a bit an element, or a byte a nonzero that counts the
zeros since the one before. In the latter a byte of 255 means 255 zeros and no nonzero yet.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import CheckpointError

Coding = Literal["bits", "gaps"]
ByteArray = NDArray[np.uint8]
_SKIP = 255  # zeros that a byte without a nonzero stands for


def encode_places(nonzero: NDArray[np.bool_]) -> tuple[Coding, ByteArray]:
    """Coding and bytes uint8[b] of the True places of bool[n]."""
    places = np.flatnonzero(nonzero)
    zeros = np.diff(places, prepend=-1) - 1  # before each nonzero
    skips = zeros // _SKIP
    if places.size + int(skips.sum()) >= (nonzero.size + 7) // 8:
        return "bits", np.packbits(nonzero, bitorder="little")
    gaps = np.full(places.size + int(skips.sum()), _SKIP, dtype=np.uint8)
    gaps[np.cumsum(skips + 1) - 1] = zeros % _SKIP
    return "gaps", gaps


def decode_places(coding: str, content: ByteArray, size: int) -> NDArray[np.int64]:
    """Places int64[k] of the nonzeros among ``size`` elements, rising.

    Raises CheckpointError where the bytes do not describe a tensor of that size.
    """
    if coding == "bits" and content.size == (size + 7) // 8:
        return np.flatnonzero(np.unpackbits(content, count=size, bitorder="little"))
    if coding == "gaps":
        steps = content.astype(np.int64) + (content != _SKIP)
        places: NDArray[np.int64] = np.cumsum(steps)[content != _SKIP] - 1
        if not places.size or places[-1] < size:
            return places
    raise CheckpointError(
        f"{content.size} bytes of coding {coding!r} do not say where the nonzeros of {size} "
        f"elements are"
    )
