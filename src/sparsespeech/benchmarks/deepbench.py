"""``bench deepbench``: the sparse product of DeepBench, 7680x2560 at 95 % sparsity.

S2 Table VI. Real TOPS count two operations for each nonzero and input vector, whatever is done with
the zeros. N = 1 is one vector (the paper's accelerator), N = 1500 the benchmark's own (its GPU).
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsespeech.benchmarks.comparison import Comparison, Settings, compare
from sparsespeech.benchmarks.engine_profile import engine_limits, limit_row
from sparsespeech.benchmarks.product_models import (
    product_model,
    random_product,
    random_vectors,
    requantized_product_model,
)
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.model_file.model import SparseMatrix

ROWS, COLUMNS = 7680, 2560
DENSITY = 0.05
VECTORS = (1, 1500)
QUICK_DIVISOR = 8  # of all three sizes
PEERS_OF_PRODUCT = ("mkl", "deepsparse", "onnxruntime_int8")
PAPER_ROWS = (
    {"platform": "Myrtle on Stratix 10, N = 1", "real_tops": 2.35, "effective_tops": 47.0},
    {"platform": "NVIDIA Titan XP, N = 1500", "real_tops": 1.88, "effective_tops": 37.6},
)


@dataclass(frozen=True)
class DeepBenchOptions:
    """``divisor`` makes everything smaller, for a quick look."""

    settings: Settings
    divisor: int = 1


def run_deepbench(options: DeepBenchOptions) -> BenchResult:
    """Measure both sizes; raises BenchmarkError for wrong results or a failed peer."""
    settings, divisor = options.settings, options.divisor
    matrix = random_product(ROWS // divisor, COLUMNS // divisor, DENSITY)
    result = BenchResult(
        "deepbench",
        {
            "rows": matrix.shape[0],
            "columns": matrix.shape[1],
            "nonzeros": matrix.nonzeros,
            "threads": settings.threads,
            "rounds": settings.rounds,
        },
    )
    for vectors in VECTORS:
        count = max(1, vectors // divisor)
        settings.on_progress(f"N = {count}")
        compared = _compare(matrix, count, settings)
        _record(result, compared, matrix, count, f"n{vectors}")
    result.add_rows("published", *PAPER_ROWS)
    return result


def _compare(matrix: SparseMatrix, count: int, settings: Settings) -> Comparison:
    """Many results are requantized to 8 bits, one vector's are not: see product_models."""
    windows = random_vectors(count, matrix.shape[1])
    accumulators = product_model(matrix)
    if count == 1:
        return compare(accumulators, windows, settings, PEERS_OF_PRODUCT)
    model = requantized_product_model(matrix)
    return compare(model, windows, settings, PEERS_OF_PRODUCT, peer_model=accumulators)


def _record(
    result: BenchResult, compared: Comparison, matrix: SparseMatrix, count: int, prefix: str
) -> None:
    operations = 2 * matrix.nonzeros * count
    for row in compared.rows:
        row["real_tops"] = operations / (row["median_ms"] / 1e3) / 1e12
    compared.record(result, "product", vectors=count)
    seconds = compared.ours.median
    result.figures[f"{prefix}_real_tops"] = operations / seconds / 1e12
    for name, ratio in compared.ratios.items():
        result.figures[f"{prefix}_ratio_{name}"] = ratio
    limits = engine_limits(
        compared.engine, compared.engine.packed_bytes // result.config["threads"]
    )
    if limits is not None:
        result.add_rows("limits", {"vectors": count, **limits.to_row()})
    work = limit_row(compared.engine, count, seconds, limits)
    result.add_rows("work", {"vectors": count, **work})
