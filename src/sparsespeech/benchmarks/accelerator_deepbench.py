"""``bench deepbench --backend simulator``: Table VI of the MAU paper (S2), counted in cycles.

A stream of vectors through a matrix of 7680 x 2560 with 5 % nonzeros, on the target ``deepbench``:
three columns of cores for the 2560 inputs, eleven row groups. S2 says neither how many cores it had
nor more than "a continuous stream of activation inputs"; its figures "do not include loading
weights or activations onto the FPGA". 2560 bytes in and 7680 out do not pass a host port of 8 bytes
a cycle in a pass of about 200 cycles, so that here too inputs lie ready and outputs are not
counted: the cores alone are simulated, every chain of them.

``real_tops`` is the target's own figure: its cores load the 853 or 854 columns that they hold. S2's
arithmetic, 32 cycles to fill a store of 1024, is counted beside it as ``real_tops_whole_stores``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions, TimedProgram
from sparsespeech.benchmarks.deepbench import COLUMNS, DENSITY, PAPER_ROWS, ROWS
from sparsespeech.benchmarks.product_models import random_product, requantized_product_model
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.simulator.core import Block
from sparsespeech.simulator.fabric import Fabric

TARGET = "deepbench"
VECTORS = 24  # of a stream; the first half fills the pipelines


def deepbench_options(divisor: int = 1) -> AcceleratorOptions:
    """The product of Table VI on its target; ``divisor`` makes both sides smaller."""
    matrix = random_product(ROWS // divisor, COLUMNS // divisor, DENSITY)
    return AcceleratorOptions(requantized_product_model(matrix), target=TARGET)


def run_deepbench_simulated(options: AcceleratorOptions) -> BenchResult:
    """Stream vectors; raises CompileError for a matrix that does not fit."""
    timed = TimedProgram.of(options.compile("paper"))
    metrics = timed.metrics
    result = BenchResult("deepbench-simulator", {**options.facts(), "nonzeros": metrics.nonzeros})
    result.config |= {"cores": metrics.cores_used, "weights": metrics.weights}
    options.on_progress("simulating")
    for suffix, loads, machine in (
        ("", "its own columns", timed),
        ("_whole_stores", "whole stores", whole_stores(timed)),
    ):
        cycles = cycles_per_vector(machine)
        row: Row = {"source": "simulator", "loads": loads, "cycles_per_vector": cycles}
        row |= {"real_tops": timed.real_tops(cycles)}
        row |= {"effective_tops": timed.effective_tops(cycles)}
        result.add_rows("product", row)
        result.figures[f"real_tops{suffix}"] = row["real_tops"]
        result.figures[f"effective_tops{suffix}"] = row["effective_tops"]
    result.add_rows("product", _arithmetic_row(timed))
    result.add_rows("published", *PAPER_ROWS)
    return result


def cycles_per_vector(timed: TimedProgram) -> float:
    """Between two vectors on the slowest chain, inputs always ready and outputs never waiting."""
    blocks = Fabric(timed.program, timed.row_ends).blocks
    chains = (chain.tasks for chain in timed.program.chains)
    return max(_cycles(block, len(tasks)) for block, tasks in zip(blocks, chains, strict=True))


def whole_stores(timed: TimedProgram) -> TimedProgram:
    """Each core fills all K columns of its store, whatever its share of the matrix; timing only."""
    columns = timed.program.config.columns
    tasks = tuple(
        replace(task, columns=(task.columns[0], task.columns[0] + columns))
        for task in timed.program.tasks
    )
    return replace(timed, program=replace(timed.program, tasks=tasks))


def _cycles(block: Block, cores: int) -> float:
    ready = np.zeros(cores, dtype=np.int64)
    ends = [block.advance(0, ready).last_pop(cores - 1) for _ in range(VECTORS)]
    half = VECTORS // 2
    return (ends[-1] - ends[-1 - half]) / half


def _arithmetic_row(timed: TimedProgram) -> Row:
    """A cycle a row group and loads of whole stores: 175 + 32 for Table VI."""
    config = timed.program.config
    steps = max(chain.row_groups for chain in timed.program.chains)
    cycles = steps + config.load_cycles(config.columns)
    return {
        "source": "a cycle a row group, loads never hidden (S2's arithmetic)",
        "loads": "whole stores",
        "cycles_per_vector": cycles,
        "real_tops": timed.real_tops(cycles),
        "effective_tops": timed.effective_tops(cycles),
    }
