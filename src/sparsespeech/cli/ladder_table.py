"""The byte ladder of a model as tables, for ``inspect`` and ``compress``."""

from __future__ import annotations

from rich.table import Table

from sparsespeech.cli.tables import figures_table
from sparsespeech.model_file.ladder import Ladder

_SHOWN = {
    "dense_float32": "dense float32",
    "sparse_float32": "sparse float32",
    "sparse_int8": "sparse int8",
    "sparse_int16": "sparse int16",
    "codebook": "codebook",
    "huffman": "Huffman",
    "entropy_bound": "entropy bound",
}


def ladder_table(ladder: Ladder) -> Table:
    """The rungs of the whole model; an asterisk marks the one that the file is."""
    table = figures_table("stored as", "bytes", "smaller by", "bits a nonzero")
    for rung in ladder.rungs:
        mark = " *" if rung.name == ladder.stored_as else ""
        table.add_row(
            _SHOWN[rung.name] + mark,
            f"{rung.bytes:,}",
            f"{rung.ratio:.1f}×",
            f"{rung.bits_per_nonzero:.2f}",
        )
    return table


def matrix_ladder_table(ladder: Ladder) -> Table:
    """Bits a nonzero of each matrix on each sparse rung, without biases and headers."""
    names = [_SHOWN[rung.name] for rung in ladder.rungs[1:]]
    table = figures_table("matrix", "values", *names)
    for matrix in ladder.matrices:
        bits = [f"{rung.bits_per_nonzero:.2f}" for rung in matrix.rungs[1:]]
        table.add_row(matrix.name, str(matrix.values), *bits)
    return table
