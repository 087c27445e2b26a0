"""``bench latency --backend simulator``: Table V of the MAU paper (S2), counted in cycles.

One second of speech (50 frames) that has the accelerator to itself, from the first flit of the host
to the last output. Three ways to know it, in the paper's mapping and in the interleaved one:

- the closed form of ``compiler/latency_model.py``, whose 106 cycles a step are *fitted* to S2's
  0.343 ms, so that its agreement with the paper proves nothing;
- the same form of the program as compiled, with layer 1 as a core of ours runs it;
- the simulator, which counts every cycle by the stated depths of ``simulator/timing.md``.

The logits of the run are compared with the reference executor's, every one.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np

from sparsespeech.accelerator import Accelerator
from sparsespeech.backend import load_backend
from sparsespeech.benchmarks.accelerator_models import (
    AcceleratorOptions,
    TimedProgram,
)
from sparsespeech.benchmarks.mapping import is_paper_network
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.compiler.latency_model import (
    PAPER_BUBBLE_CYCLES,
    LatencyEstimate,
    estimate_program_latency,
    mau_paper_estimate,
)
from sparsespeech.compiler.mapping_choice import MAPPINGS
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.errors import BenchmarkError
from sparsespeech.simulator.counters import step_split
from sparsespeech.simulator.machine import Run

PAPER_LATENCY_MS = 0.343
FITTED = f"closed form, {PAPER_BUBBLE_CYCLES} cycles a step fitted to the paper"


def run_latency_simulated(options: AcceleratorOptions) -> BenchResult:
    """Run both mappings.

    Raises BenchmarkError for a logit that differs from the reference, CompileError for a model that
    fits in neither mapping.
    """
    result = BenchResult("latency-simulator", options.facts())
    result.config["fitted_bubble_cycles"] = PAPER_BUBBLE_CYCLES
    if is_paper_network(options):
        result.add_rows(
            "latency", {"mapping": "paper", "source": "MAU paper", "ms": PAPER_LATENCY_MS}
        )
        for mapping in MAPPINGS:
            estimate = mau_paper_estimate(mapping)
            result.add_rows("latency", _estimate_row(mapping, FITTED, estimate))
            result.figures[f"closed_form_ms_{mapping}"] = 1e3 * estimate.seconds
            result.figures[f"closed_form_cycles_{mapping}"] = estimate.cycles
    for program in options.programs(result):
        estimate = estimate_program_latency(program, options.frames)
        row = _estimate_row(program.mapping, "closed form of the program", estimate)
        result.add_rows("latency", row)
        _simulate(result, options, program)
    return result


def _simulate(result: BenchResult, options: AcceleratorOptions, program: Program) -> None:
    """The cycles of one utterance, where those of a step go, and its logits."""
    mapping, config = program.mapping, program.config
    options.on_progress(f"simulating, {mapping} mapping")
    timed = TimedProgram.of(program)
    run = timed.run([[options.frames]])
    milliseconds = 1e3 * config.seconds(run.latencies[0][0])
    operations = 2 * timed.metrics.weights * options.frames
    row: Row = {"mapping": mapping, "source": "simulator", "cycles": run.latencies[0][0]}
    row |= {"ms": milliseconds, "effective_tops": operations / (milliseconds / 1e3) / 1e12}
    result.add_rows("latency", row)
    result.figures[f"latency_ms_{mapping}"] = milliseconds
    result.figures[f"cycles_{mapping}"] = run.latencies[0][0]
    result.add_rows("cycles of a step", *_step_rows(run))
    _compare_logits(result, options, program)


def _estimate_row(mapping: Mapping, source: str, estimate: LatencyEstimate) -> Row:
    return {
        "mapping": mapping,
        "source": source,
        "cycles": estimate.cycles,
        "ms": 1e3 * estimate.seconds,
        "before_recurrence": estimate.prefix_cycles,
    }


def _step_rows(run: Run) -> list[Row]:
    """Mean cycles from one step of a direction to its next, by cause; ``overhead``: all but steps.

    A step of N row groups takes N cycles at least; issuing words and waiting for places in FIFOs
    together are those cycles, the rest is what honest pipelines add.
    """
    recurrent = [chain for chain in run.program.chains if chain.role == "recurrent"]
    row_groups = max((chain.row_groups for chain in recurrent), default=0)
    rows = []
    for direction in dict.fromkeys(chain.direction for chain in recurrent):
        split = step_split(run, direction)
        row: Row = {"mapping": run.program.mapping, "direction": direction}
        row |= {**asdict(split), "total": split.total}
        rows.append(row | {"row_groups": row_groups, "overhead": split.total - row_groups})
    return rows


def _compare_logits(result: BenchResult, options: AcceleratorOptions, program: Program) -> None:
    """Values of a second of bundled speech, all logits beside the reference's; speed of both."""
    frame_s = FrontEnd.of_model(program.model).config.frame_duration_s
    windows = FrontEnd.of_model(program.model).windows(bundled_speech(options.frames * frame_s))
    accelerator = Accelerator(program)
    start = time.perf_counter()
    found = accelerator.run(windows)
    wall_s = time.perf_counter() - start
    expected = load_backend("reference")(program.model).run(windows)
    equal = int(np.count_nonzero(found.logits[0] == expected))
    if equal != expected.size:
        raise BenchmarkError(
            f"{expected.size - equal} of {expected.size} logits of the simulated accelerator "
            f"({program.mapping} mapping) differ from the reference; this is a bug, please report"
        )
    audio_s = len(windows) * frame_s
    row: Row = {"mapping": program.mapping, "logits": expected.size, "equal": equal}
    row |= {"frames": len(windows), "wall_s": wall_s}
    result.add_rows("logits", row | {"utterance_seconds_per_minute": 60 * audio_s / wall_s})
    result.figures[f"equal_logits_{program.mapping}"] = equal
    result.figures[f"simulated_seconds_per_minute_{program.mapping}"] = 60 * audio_s / wall_s
