"""The byte ladder of deep compression: what the same model takes in each stored form.

Axes: R rows, C columns, n nonzeros, K values that occur in a matrix.

From top to bottom, as in the Hot Chips report:

- ``dense_float32``: every parameter of the dense network in 4 bytes;
- ``sparse_float32``: the nonzeros in 4 bytes, their gaps in a byte (escapes included), row counts;
- ``sparse_int8``: the normal file, one byte a weight (``sparse_int16`` in wide mode: two);
- ``codebook``: ceil(log2 K) bits a weight, gap bytes and row counts as before, and the codebook;
- ``huffman``: the file of ``sparsespeech compress``, codes and gaps both Huffman-coded;
- ``entropy_bound``: the least that any code takes which knows how often each gap byte and each
  value occurs in a matrix, but nothing of their order.

The rung that a model is stored in and the other file are measured by writing them, headers
included; the other rungs are what a file *would be*: their matrices, and everything else as in the
file next to them. So totals can be compared from rung to rung.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.codebook_encoding import matrix_symbols
from sparsespeech.model_file.model import Encoding, IntegerModel, SparseMatrix
from sparsespeech.model_file.statistics import count_parameters, layer_matrices
from sparsespeech.model_file.tensors import matrix_tensors
from sparsespeech.model_file.writer import encode_model

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Rung:
    """Bytes of one stored form; ``bits_per_nonzero`` is 0.0 where there is no nonzero."""

    name: str
    bytes: int
    ratio: float  # bytes of dense float32 / these bytes
    bits_per_nonzero: float


@dataclass(frozen=True)
class MatrixLadder:
    """The rungs of one weight matrix alone, without biases and headers."""

    name: str
    nonzeros: int
    values: int  # K
    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class Ladder:
    """The rungs of a whole model, and of each of its matrices."""

    stored_as: str  # name of the rung that the model's file is
    rungs: tuple[Rung, ...]
    matrices: tuple[MatrixLadder, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """One object a rung: the totals, ``stored``, and its ``matrices`` by name."""
        return [
            {
                **asdict(rung),
                "stored": rung.name == self.stored_as,
                "matrices": {matrix.name: asdict(matrix.rungs[number]) for matrix in self.matrices},
            }
            for number, rung in enumerate(self.rungs)
        ]


def byte_ladder(model: IntegerModel) -> Ladder:
    """The ladder of a valid model, whichever way it is stored."""
    wide = model.activation_bits == 16
    found = [
        (name, matrix, _matrix_bytes(matrix, wide=wide))
        for layer in model.layers
        for name, matrix in layer_matrices(layer)
    ]
    nonzeros = sum(matrix.nonzeros for _, matrix, _ in found)
    normal, coded = f"sparse_int{16 if wide else 8}", "huffman"
    matrices = {rung: sum(sizes[rung] for _, _, sizes in found) for rung in _rung_names(wide=wide)}
    normal_rest = _file_bytes(model, "gap8") - matrices[normal]
    coded_rest = _file_bytes(model, "huffman") - matrices[coded]
    totals = {
        "dense_float32": _FLOAT32_BYTES * count_parameters(model.graph),
        "sparse_float32": matrices["sparse_float32"] + normal_rest,
        normal: matrices[normal] + normal_rest,
        "codebook": matrices["codebook"] + normal_rest,
        coded: matrices[coded] + coded_rest,
        "entropy_bound": matrices["entropy_bound"] + coded_rest,
    }
    return Ladder(
        stored_as=normal if model.encoding == "gap8" else coded,
        rungs=_rungs(totals, nonzeros),
        matrices=tuple(
            MatrixLadder(
                name, matrix.nonzeros, np.unique(matrix.value).size, _rungs(sizes, matrix.nonzeros)
            )
            for name, matrix, sizes in found
        ),
    )


def entropy_bits(symbols: NDArray[Any]) -> float:
    """Bits of all ``symbols`` [N] together at the entropy of their frequencies."""
    counts = np.unique(symbols, return_counts=True)[1].astype(np.float64)
    return float((counts * np.log2(symbols.size / counts)).sum())


def _rung_names(*, wide: bool) -> tuple[str, ...]:
    normal = "sparse_int16" if wide else "sparse_int8"
    return ("dense_float32", "sparse_float32", normal, "codebook", "huffman", "entropy_bound")


def _matrix_bytes(matrix: SparseMatrix, *, wide: bool) -> dict[str, int]:
    """Bytes of one matrix on each rung."""
    gaps, codebook, codes = matrix_symbols(matrix)
    normal = matrix_tensors(matrix, "gap8", wide=wide)
    places = normal["row_nonzeros"].nbytes + normal["gaps"].nbytes
    width = normal["values"].itemsize
    code_bits = max(codebook.size - 1, 0).bit_length()
    coded = matrix_tensors(matrix, "huffman", wide=wide)
    least = entropy_bits(gaps) + entropy_bits(codes)
    sizes = (
        _FLOAT32_BYTES * matrix.shape[0] * matrix.shape[1],
        places + _FLOAT32_BYTES * matrix.nonzeros,
        places + width * matrix.nonzeros,
        places + width * codebook.size + _bytes(code_bits * matrix.nonzeros),
        sum(tensor.nbytes for tensor in coded.values()),
        width * codebook.size + _bytes(least),
    )
    return dict(zip(_rung_names(wide=wide), sizes, strict=True))


def _bytes(bits: float) -> int:
    """Whole bytes for ``bits``; those of a float that a rounding error made larger."""
    return int(np.ceil(bits / 8 - 1e-9))


def _file_bytes(model: IntegerModel, encoding: Encoding) -> int:
    return len(encode_model(replace(model, encoding=encoding)))


def _rungs(sizes: dict[str, int], nonzeros: int) -> tuple[Rung, ...]:
    dense = sizes["dense_float32"]
    return tuple(
        Rung(name, size, dense / max(size, 1), 8 * size / nonzeros if nonzeros else 0.0)
        for name, size in sizes.items()
    )
