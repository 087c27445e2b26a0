"""How much one run has to do: products, weights read, dense operations.

Axes: T frames, R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparsespeech.benchmarks.engine import Engine
from sparsespeech.benchmarks.limits import Limits

STEPWISE_MATRICES = (".recurrent", ".projection")  # ends of the names of matrices in a loop


@dataclass(frozen=True)
class Work:
    """Of one run over T frames.

    ``weight_bytes`` counts each matrix of a layer that sees all frames at once as read once, and
    each recurrent matrix (and projection) as read at every frame.
    """

    products: int  # nonzeros times frames
    dense_operations: int  # two for each matrix entry and frame, zeros included
    weight_bytes: float


def work_of(engine: Engine, frames: int, *, batch: int = 1) -> Work:
    """Work of ``batch`` utterances of ``frames`` frames with the weights as ``engine`` packed them.

    A matrix in two forms is read in one of them: the sweep form for one vector at a time.
    """
    nonzeros, entries, read = 0, 0, 0.0
    for matrix in engine.matrices:
        nonzeros += matrix["nonzeros"]
        entries += matrix["rows"] * matrix["columns"]
        stepwise = matrix["name"].endswith(STEPWISE_MATRICES)
        sweep = sweep_bytes(matrix)
        if stepwise and batch == 1 and sweep:
            read += frames * sweep
        else:
            read += (frames if stepwise else 1) * (matrix["bytes"] - sweep)
    return Work(
        products=nonzeros * frames * batch,
        dense_operations=2 * entries * frames * batch,
        weight_bytes=read,
    )


def sweep_bytes(matrix: Mapping[str, Any]) -> float:
    """Bytes of the sweep form: an index and a weight for each slot."""
    return float(2 * matrix["slots_per_nonzero"] * matrix["nonzeros"])


def stepwise_bytes(engine: Engine) -> int:
    """Bytes of the largest matrix that is read at every frame, 0 without one."""
    sizes = [
        sweep_bytes(matrix) or matrix["bytes"]
        for matrix in engine.matrices
        if matrix["name"].endswith(STEPWISE_MATRICES)
    ]
    return int(max(sizes, default=0))


def work_row(work: Work, seconds: float, limits: Limits | None) -> dict[str, Any]:
    """Rates of one run, and the shares of the measured limits that they are."""
    row: dict[str, Any] = {
        "products_per_run": work.products,
        "giga_products_per_s": work.products / seconds / 1e9,
        "weight_mb_per_run": work.weight_bytes / 1e6,
        "weight_gb_per_s": work.weight_bytes / seconds / 1e9,
        "effective_tops": work.dense_operations / seconds / 1e12,
    }
    if limits is not None:
        row["share_of_read_limit"] = work.weight_bytes / seconds / limits.bytes_read
        row["share_of_product_limit"] = work.products / seconds / limits.products
        row["share_of_picked_product_limit"] = work.products / seconds / limits.picked_products
    return row
