"""``bench density --backend simulator``: cycles against sparsity, for three patterns of nonzeros.

- *magnitude*: a trained and pruned model, pruned further by magnitude where a row asks for it; its
  nonzeros crowd in some rows and columns. Its words are not asked for, only its cycles.
- *random*: each weight is there with the same probability.
- *bank-balanced*: each row has the same number of nonzeros in each bank of columns (S2's [31]).

Three tables: the trained model's network in its own size and in all patterns; the full-size network
where it fits the memory (96 % is S2's); and one core alone, 4096 x 1024, whose weight memory is as
deep as it needs to be and whose loads hide. There *cycles a row group* is 1 at best: a core takes
four rows a cycle, so that more zeros than 15 of 16 save no time (S2: "1 in 16 weights per row").
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions, TimedProgram
from sparsespeech.benchmarks.pruned_patterns import PATTERNS, smallest_density, with_pattern
from sparsespeech.benchmarks.random_matrices import Pattern, random_matrix
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.compiler.compilation import DEFAULT_TARGET
from sparsespeech.compiler.mapping_choice import MAPPINGS
from sparsespeech.compiler.packing import row_layout
from sparsespeech.compiler.word_counts import entries_of_windows
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.simulator.core import Block

SPARSITIES = (0.5, 0.7, 0.8, 0.85, 0.87, 0.9, 0.9375, 0.95, 0.96, 0.97, 0.98)
QUICK_SPARSITIES = (0.5, 0.9, 0.9375, 0.98)
LARGE_SPARSITIES = (0.9375, 0.95, 0.96, 0.98)
BEST_SPARSITY = 0.9375  # 1 in 16, for which the core is made
PASSES = 6  # of the core alone; the last two are timed


@dataclass(frozen=True)
class SimulatedDensityOptions:
    """``trained``: the model whose pattern is real; ``full``: the random one that S2 has."""

    options: AcceleratorOptions  # of the trained model
    full: IntegerModel | None = None
    sparsities: tuple[float, ...] = SPARSITIES


def run_density_simulated(wanted: SimulatedDensityOptions) -> BenchResult:
    """Time all patterns; a model that does not fit gives a row that says so."""
    options = wanted.options
    result = BenchResult("density-simulator", options.facts())
    result.config["sparsities"] = list(wanted.sparsities)
    result.config["smallest_trained_density"] = smallest_density(options.model)
    for sparsity in wanted.sparsities:
        for pattern in PATTERNS:
            if pattern == "magnitude" and 1 - sparsity > smallest_density(options.model) + 1e-3:
                continue  # pruned further than that already
            options.on_progress(f"trained size, {pattern}, {sparsity:.4g}")
            model = with_pattern(options.model, pattern, 1 - sparsity)
            row: Row = {"sparsity": sparsity, "pattern": pattern}
            result.add_rows("size of the trained model", row | _timed(options, model))
    if wanted.full is not None:
        _full_size(result, options, wanted.full)
    for sparsity in wanted.sparsities:
        options.on_progress(f"one core, {sparsity:.4g}")
        result.add_rows("one core", *_core_rows(sparsity, TARGETS[DEFAULT_TARGET]))
    _figures(result)
    return result


def _figures(result: BenchResult) -> None:
    """Cycles a row group of the core at its best, and what a trained pattern costs in a stream."""
    for row in result.table("one core"):
        name = f"cycles_per_row_group_{row['pattern'].replace('-', '_')}"
        if row["sparsity"] == BEST_SPARSITY:
            result.figures[name] = row["cycles_per_row_group"]
    cycles = {
        (row["sparsity"], row["pattern"]): row["cycles_per_frame"]
        for row in result.table("size of the trained model")
        if "cycles_per_frame" in row
    }
    trained = [sparsity for sparsity, pattern in cycles if pattern == "magnitude"]
    if trained and (trained[0], "random") in cycles:
        ratio = cycles[trained[0], "magnitude"] / cycles[trained[0], "random"]
        result.figures["trained_over_random"] = ratio


def _full_size(result: BenchResult, options: AcceleratorOptions, full: IntegerModel) -> None:
    for sparsity in LARGE_SPARSITIES:
        for pattern in PATTERNS[1:]:
            options.on_progress(f"full size, {pattern}, {sparsity:.4g}")
            model = with_pattern(full, pattern, 1 - sparsity)
            row: Row = {"sparsity": sparsity, "pattern": pattern}
            result.add_rows("full size", row | _timed(options, model))


def _timed(options: AcceleratorOptions, model: IntegerModel) -> Row:
    """Latency of both mappings, and of the paper's the cycles a frame in a stream."""
    row: Row = {}
    for mapping in MAPPINGS:
        try:
            timed = TimedProgram.of(replace(options, model=model).compile(mapping))
        except CompileError:
            row[f"ms_{mapping}"] = "does not fit"
            continue
        latency = timed.run([[options.frames]]).latencies[0][0]
        row[f"ms_{mapping}"] = 1e3 * timed.program.config.seconds(latency)
        if mapping == "paper":
            row["cycles_per_frame"] = timed.cycles_per_frame(options.utterances, options.frames)
            row["packing_ratio"] = timed.metrics.packing_ratio
            row["memory_used"] = timed.metrics.memory_used
    return row


def _core_rows(sparsity: float, config: AcceleratorConfig) -> list[Row]:
    """Cycles a row group of one full core whose loads hide (two banks of activations)."""
    rows = []
    patterns: tuple[Pattern, ...] = ("unstructured", "bank-balanced")
    for pattern in patterns:
        matrix = random_matrix(
            np.random.default_rng(1), (config.rows, config.columns), 1 - sparsity, pattern
        )
        entries = entries_of_windows(matrix, ((0, config.columns),), config)
        # Rows [N * R, 1, Q] to streams [N, R * Q]: lane r of a step holds its row r.
        counts = entries.reshape(config.weight_words, -1)
        ends = row_layout(counts, config.multipliers_per_window).word
        cycles = _cycles_of_core(config, ends.astype(np.int32))
        work = -(-matrix.nonzeros // config.multipliers)
        name = "random" if pattern == "unstructured" else pattern
        rows.append(
            {
                "sparsity": sparsity,
                "pattern": name,
                "cycles_per_pass": cycles,
                "cycles_per_row_group": cycles / config.weight_words,
                "fewest_possible": max(1.0, work / config.weight_words),
                "words_of_longest_stream": int(ends[-1].max()) + 1,
            }
        )
    return rows


def _cycles_of_core(config: AcceleratorConfig, row_ends: NDArray[np.int32]) -> float:
    """From pass to pass of a core that has its input ready; ``row_ends`` [N, R Q]."""
    loads = np.array([[config.load_cycles(config.columns)]])
    config = replace(config, double_buffered=True)
    block = Block(config, (), (row_ends[:, np.newaxis],), loads)
    ends = [block.advance(0, np.zeros(1, dtype=np.int64)).last_pop(0) for _ in range(PASSES)]
    return (ends[-1] - ends[-3]) / 2
