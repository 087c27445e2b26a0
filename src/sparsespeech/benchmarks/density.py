"""``bench density``: time against density, our sparse kernels against dense int8.

S4's question for this processor: from which density on do the zeros no longer pay? Two products of
DeepSpeech's LSTM stand for all: the input part of one direction for a second of audio (8192x4096,
50 vectors at once) and the recurrent part (8192x2048, one vector).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsespeech.benchmarks.comparison import (
    Settings,
    compare,
    engine_contender,
    expected_logits,
)
from sparsespeech.benchmarks.measurement import take_turns
from sparsespeech.benchmarks.product_models import (
    product_model,
    random_product,
    random_vectors,
    requantized_product_model,
)
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.model_file.model import IntegerModel, SparseMatrix

DENSITIES = (0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.5, 0.75, 1.0)
QUICK_DENSITIES = (0.04, 0.16, 0.5, 1.0)
QUICK_DIVISOR = 8  # of rows and columns
DENSE_PEERS = ("onnxruntime_int8", "torch_int8")
# Options of the engine: the density from which on a matrix keeps its zeros.
FORMS: Mapping[str, Mapping[str, float]] = {
    "sparse": {"dense_from": 2.0},
    "dense": {"dense_from": 0.0},
    "chosen": {},
}


@dataclass(frozen=True)
class Product:
    """One shape; ``figure`` is the name of its break-even density."""

    name: str
    rows: int
    columns: int
    vectors: int
    figure: str


PRODUCTS = (
    Product("input part, 50 vectors", 8192, 4096, 50, "break_even_density"),
    Product("recurrent part, 1 vector", 8192, 2048, 1, "break_even_density_recurrent"),
)


@dataclass(frozen=True)
class DensityOptions:
    """``divisor`` makes the matrices smaller, for a quick look."""

    settings: Settings
    densities: tuple[float, ...] = DENSITIES
    divisor: int = 1


def run_density(options: DensityOptions) -> BenchResult:
    """Measure all products at all densities; raises BenchmarkError for wrong results."""
    settings = options.settings
    result = BenchResult(
        "density",
        {
            "densities": list(options.densities),
            "threads": settings.threads,
            "rounds": settings.rounds,
            "divisor": options.divisor,
        },
    )
    for product in PRODUCTS:
        _measure(result, product, options)
    return result


def break_even(densities: Sequence[float], sparse: Sequence[float], dense: float) -> float:
    """The density from which on ``sparse`` times are above ``dense``, interpolated linearly.

    ``densities`` increase, ``sparse`` has one time for each. The first density if sparse is never
    faster, 1.0 if it always is.
    """
    last_density, last_time = densities[0], sparse[0]
    if last_time >= dense:
        return last_density
    for density, time in zip(densities[1:], sparse[1:], strict=True):
        if time >= dense:
            share = (dense - last_time) / (time - last_time)
            return last_density + share * (density - last_density)
        last_density, last_time = density, time
    return 1.0


def _measure(result: BenchResult, product: Product, options: DensityOptions) -> None:
    settings = options.settings
    vectors = random_vectors(product.vectors, product.columns // options.divisor)
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    for density in options.densities:
        settings.on_progress(f"{product.name}, density {density:g}")
        matrix = random_product(
            product.rows // options.divisor, product.columns // options.divisor, density
        )
        model = _engine_model(matrix, product.vectors)
        expected = expected_logits(model, vectors)
        engines = {
            form: settings.make_engine(model, threads=settings.threads, options=engine_options)
            for form, engine_options in FORMS.items()
        }
        sparse, *others = (
            engine_contender(form, engine, vectors, expected) for form, engine in engines.items()
        )
        for form, timing in take_turns(sparse, others, rounds=settings.rounds).items():
            times[form].append(timing.median)
            row: Row = {"density": density, "form": form, **timing.to_row()}
            row["packed_mb"] = engines[form].packed_bytes / 1e6
            result.add_rows(product.name, row)
    dense = statistics.median(times["dense"])
    result.figures[product.figure] = break_even(options.densities, times["sparse"], dense)
    peers = _time_peers(result, product, matrix, settings)
    if peers:
        result.figures[f"{product.figure}_peers"] = break_even(
            options.densities, times["sparse"], min(peers)
        )


def _time_peers(
    result: BenchResult, product: Product, matrix: SparseMatrix, settings: Settings
) -> list[float]:
    """Medians of the peers' dense int8, which do not depend on the zeros of ``matrix``."""
    compared = compare(
        _engine_model(matrix, product.vectors),
        random_vectors(product.vectors, matrix.shape[1]),
        settings,
        DENSE_PEERS,
        options=FORMS["dense"],
        peer_model=product_model(matrix),
    )
    compared.record(result, f"{product.name}, dense int8")
    return [timing.median for timing in compared.timings.values()]


def _engine_model(matrix: SparseMatrix, vectors: int) -> IntegerModel:
    """Many results are requantized to 8 bits, one vector's are not: see product_models."""
    return product_model(matrix) if vectors == 1 else requantized_product_model(matrix)
