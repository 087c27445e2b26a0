"""``bench density --backend simulator``: cycles against sparsity, for three patterns of nonzeros.

- *magnitude*: a trained model, pruned by magnitude where a row asks for it; its nonzeros crowd in
  some rows and columns. Its words are not asked for, only its cycles.
- *random*: each weight is there with the same probability.
- *bank-balanced*: each row has the same number of nonzeros in each bank of columns (S2's [31]).

The network of a model that was trained dense, which any sparsity can be pruned from; that of one
that was trained sparse, whose own sparsity is the first; the full-size network where it fits the
memory (96 % is S2's); and one core alone, up to 4096 x 1024, whose weight memory is as deep as it
needs to be and whose loads hide. There *cycles a row group* is 1 at best: a core takes four rows a
cycle, so that more zeros than 15 of 16 save no time (S2: "1 in 16 weights per row").

Where the dense model's weights are too many for the target at the lowest sparsity, all its rows are
timed on the same cores with memories that are two or four times as deep, which makes nothing faster
by itself; each row says how many cores the target itself needs, or that it does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.benchmarks.accelerator_core import core_row, first_columns, input_weights
from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions, TimedProgram
from sparsespeech.benchmarks.pruned_patterns import (
    PATTERNS,
    PatternName,
    largest_weights,
    smallest_density,
    with_pattern,
)
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.compiler.program import MAPPINGS
from sparsespeech.errors import CompileError, NoProgramError
from sparsespeech.model_file.model import IntegerModel, SparseMatrix

SPARSITIES = (0.5, 0.7, 0.8, 0.87, 0.9, 0.9375, 0.95, 0.96, 0.98)
QUICK_SPARSITIES = (0.5, 0.9, 0.9375, 0.98)
LARGE_SPARSITIES = (0.9375, 0.95, 0.96, 0.98)
BEST_SPARSITY = 0.9375  # 1 in 16, for which the core is made
DEPTHS = (1, 2, 4)  # times as many words in each weight memory
DENSE, PRUNED, FULL = "size of the dense model", "size of the trained model", "full size"
CORE = "one core"
NO_FIT = "does not fit"
_ROUNDING = 1e-3  # of a density: a matrix has whole weights


@dataclass(frozen=True)
class DenseModel:
    """A model whose weights have hardly any zeros, and the file that holds it."""

    model: IntegerModel
    file: str  # its name, without folders
    sha256: str


@dataclass(frozen=True)
class SimulatedDensityOptions:
    """``dense``: a trained model for all sparsities; ``full``: the random one that S2 has."""

    options: AcceleratorOptions  # of the model that was trained sparse
    dense: DenseModel | None = None
    full: IntegerModel | None = None
    sparsities: tuple[float, ...] = SPARSITIES


def run_density_simulated(wanted: SimulatedDensityOptions) -> BenchResult:
    """Time all patterns; a sparsity that does not fit gives a row that says so.

    Raises CompileError for a model of which no sparsity fits, NoProgramError for a network that no
    program runs.
    """
    options, dense = wanted.options, wanted.dense
    target = options.target
    config = target if isinstance(target, AcceleratorConfig) else TARGETS[target]
    result = BenchResult("density-simulator", options.facts())
    result.config["sparsities"] = list(wanted.sparsities)
    result.config["smallest_trained_density"] = smallest_density(options.model)
    result.config["dense_model"] = None
    result.config["core"] = {"rows": config.rows, "columns": config.columns}
    if dense is not None:
        of_dense = replace(options, model=dense.model, target=config)
        _dense_network(result, of_dense, config, dense, wanted.sparsities)
    _networks(result, PRUNED, options, wanted.sparsities, PATTERNS)
    if wanted.full is not None:
        of_full = replace(options, model=wanted.full)
        _networks(result, FULL, of_full, LARGE_SPARSITIES, PATTERNS[1:])
    matrix = None if dense is None else input_weights(dense.model, config)
    for sparsity in wanted.sparsities:
        options.on_progress(f"one core, {sparsity:.4g}")
        result.add_rows(CORE, *_core_rows(sparsity, matrix, config))
    _figures(result)
    _note_what_is_missing(result)
    return result


def _figures(result: BenchResult) -> None:
    """The core where it is made for, by pattern, and what a trained pattern costs there."""
    names = ("cycles_per_row_group", "fullest_bank_over_mean")
    core = {row["pattern"]: row for row in result.table(CORE) if row["sparsity"] == BEST_SPARSITY}
    for pattern, row in core.items():
        for name in names:
            result.figures[f"{name}_{pattern.replace('-', '_')}"] = row[name]
    if "magnitude" in core:
        cycles = {pattern: row[names[0]] for pattern, row in core.items()}
        result.figures["trained_over_random"] = cycles["magnitude"] / cycles["random"]


def _note_what_is_missing(result: BenchResult) -> None:
    """Where the trained rows begin, if not at the first sparsity."""
    sparsities = result.config["sparsities"]
    tables = [(PRUNED, result.config["weights"], result.config["smallest_trained_density"])]
    dense = result.config["dense_model"]
    if dense is not None:
        tables.insert(0, (DENSE, dense["file"], dense["density"]))
    for table, name, density in tables:
        if 1 - min(sparsities) > density + _ROUNDING:
            note = f"{table}: {name} is {100 * (1 - density):.1f} % sparse, its rows begin there"
            if dense is None:
                note += "; a trained model for the rows before comes with --dense-model FILE"
            result.config.setdefault("left_out", []).append(note)


def _dense_network(
    result: BenchResult,
    options: AcceleratorOptions,
    config: AcceleratorConfig,
    dense: DenseModel,
    sparsities: tuple[float, ...],
) -> None:
    """The rows of the dense model, on the first of the DEPTHS that takes its fullest row."""
    density = smallest_density(dense.model)
    fullest = with_pattern(dense.model, "magnitude", min(density, 1 - min(sparsities)))
    for depth in DEPTHS:
        deeper = replace(config, weight_words=depth * config.weight_words)
        if not isinstance(_cores(replace(options, model=fullest, target=deeper)), str):
            break
    result.config["dense_model"] = {
        "file": dense.file,
        "sha256": dense.sha256,
        "density": density,
        "weight_words": deeper.weight_words,
        "weight_words_of_target": config.weight_words,
    }
    options = replace(options, target=deeper)
    _networks(result, DENSE, options, sparsities, PATTERNS, config if deeper != config else None)


def _networks(
    result: BenchResult,
    table: str,
    options: AcceleratorOptions,
    sparsities: tuple[float, ...],
    patterns: tuple[PatternName, ...],
    shallow: AcceleratorConfig | None = None,
) -> None:
    """Rows of a table; with the cores that the same weights need on ``shallow``, if given."""
    failure: CompileError | None = None
    fits = False
    densest = smallest_density(options.model)
    for sparsity in sparsities:
        for pattern in patterns:
            if pattern == "magnitude" and 1 - sparsity > densest + _ROUNDING:
                continue  # pruned further than that already
            options.on_progress(f"{table}, {pattern}, {sparsity:.4g}")
            chosen = replace(options, model=with_pattern(options.model, pattern, 1 - sparsity))
            row: Row = {"sparsity": sparsity, "pattern": pattern}
            for mapping in MAPPINGS:
                try:
                    row |= _timed(TimedProgram.of(chosen.compile(mapping)), chosen)
                    fits = True
                except NoProgramError:
                    raise
                except CompileError as error:
                    failure = failure or error
                    row[f"ms_{mapping}"] = NO_FIT
            if shallow is not None and row.get("deepest_stream", np.inf) <= shallow.weight_words:
                row["cores_of_target"] = row["cores"]  # the same program
            elif shallow is not None:
                row["cores_of_target"] = _cores(replace(chosen, target=shallow))
            result.add_rows(table, row)
    if failure is not None and not fits:
        raise failure


def _cores(options: AcceleratorOptions) -> int | str:
    """Cores of the paper's mapping, or that it does not fit; raises NoProgramError."""
    try:
        return options.compile("paper").metrics().cores_used
    except NoProgramError:
        raise
    except CompileError:
        return NO_FIT


def _timed(timed: TimedProgram, options: AcceleratorOptions) -> Row:
    """Latency of a mapping; of the paper's the cycles a frame in a stream, cores and memory too."""
    mapping = timed.program.mapping
    latency = timed.run([[options.frames]]).latencies[0][0]
    row: Row = {f"ms_{mapping}": 1e3 * timed.program.config.seconds(latency)}
    if mapping == "paper":
        row["cycles_per_frame"] = timed.cycles_per_frame(options.utterances, options.frames)
        row["busiest_core"] = timed.metrics.cycles_per_frame
        row["packing_ratio"] = timed.metrics.packing_ratio
        row["cores"] = timed.metrics.cores_used
        row["deepest_stream"] = timed.metrics.deepest_stream
        row["memory_used"] = timed.metrics.memory_used
    return row


def _core_rows(
    sparsity: float, trained: SparseMatrix | None, config: AcceleratorConfig
) -> list[Row]:
    """One core with each pattern; ``trained`` [4 H, at least K] is pruned, then cut to K."""
    rows: list[Row] = []
    density = 1 - sparsity
    if trained is not None:
        whole = trained.shape[0] * trained.shape[1]
        if density <= trained.nonzeros / whole + _ROUNDING:
            pruned = largest_weights(trained, density, np.random.default_rng(1))
            block = first_columns(pruned, config.columns)
            row: Row = {"sparsity": sparsity, "pattern": "magnitude"}
            rows.append(row | core_row(block, "gate_input", config))
    for pattern in PATTERNS[1:]:
        matrix = random_matrix(
            np.random.default_rng(1),
            (config.rows, config.columns),
            density,
            "unstructured" if pattern == "random" else "bank-balanced",
        )
        row = {"sparsity": sparsity, "pattern": pattern}
        rows.append(row | core_row(matrix, "linear", config))
    return rows
