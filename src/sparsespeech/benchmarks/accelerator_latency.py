"""``bench latency --backend simulator``: Table V of the MAU paper (S2), counted in cycles.

One second of speech (50 frames) that has the accelerator to itself, from the first flit of the host
to the last output. Three ways to know it, in the paper's mapping and in the interleaved one:

- the closed form of ``compiler/latency_model.py``, whose 106 cycles a step are *fitted* to S2's
  0.343 ms, so that its agreement with the paper proves nothing;
- the same form of the program as compiled, with layer 1 as a core of ours runs it;
- the simulator, which counts every cycle by the stated depths of ``simulator/timing.md``.

The logits of the run are compared with the reference executor's, every one.

Speed of the simulator: loading a program (decoding its images, once) is timed apart. Then the
program runs once, and the next ``SPEED_UTTERANCES`` utterances, one after the other, are timed:
values of the accelerator's layers, all cycles and counters, and the layers of the host. Features
are ready, and comparing logits is not in it.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator import Accelerator
from sparsespeech.backend import load_backend
from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions
from sparsespeech.benchmarks.mapping import is_paper_network
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.compiler.latency_model import (
    PAPER_BUBBLE_CYCLES,
    LatencyEstimate,
    estimate_program_latency,
    mau_paper_estimate,
)
from sparsespeech.compiler.program import MAPPINGS, Mapping, Program
from sparsespeech.errors import BenchmarkError
from sparsespeech.simulator.counters import step_split
from sparsespeech.simulator.device import SimulatedDevice
from sparsespeech.simulator.machine import Run

PAPER_LATENCY_MS = 0.343
SPEED_UTTERANCES = 8
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
    """The cycles of one utterance, where those of a step go, its logits, and the speed of all."""
    mapping, config = program.mapping, program.config
    options.on_progress(f"simulating, {mapping} mapping")
    utterances = _utterances(program, options.frames)
    device = SimulatedDevice(config)
    start = time.perf_counter()
    accelerator = Accelerator(program, device)
    loading_s = time.perf_counter() - start
    found = accelerator.run(utterances[0])
    run = device.run_record()
    cycles = run.latencies[0][0]
    milliseconds = 1e3 * config.seconds(cycles)
    operations = 2 * program.metrics().weights * len(utterances[0])
    row: Row = {"mapping": mapping, "source": "simulator", "cycles": cycles}
    row |= {"ms": milliseconds, "effective_tops": operations / (milliseconds / 1e3) / 1e12}
    result.add_rows("latency", row)
    result.figures[f"latency_ms_{mapping}"] = milliseconds
    result.figures[f"cycles_{mapping}"] = cycles
    result.add_rows("cycles of a step", *_step_rows(run))
    _compare_logits(result, program, utterances[0], found.logits[0])
    _measure_speed(result, accelerator, utterances, loading_s)


def _utterances(program: Program, frames: int) -> list[NDArray[np.uint8]]:
    """Windows [frames, W] of each of ``SPEED_UTTERANCES`` stretches of the bundled speech."""
    front_end = FrontEnd.of_model(program.model)
    seconds = SPEED_UTTERANCES * frames * front_end.config.frame_duration_s
    windows = front_end.windows(bundled_speech(seconds))
    return [windows[number * frames :][:frames] for number in range(SPEED_UTTERANCES)]


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

    A step of N row groups takes N cycles at least: issuing words, and waiting for the adder tree,
    which takes a row group a cycle. The rest is what honest pipelines add.
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


def _compare_logits(
    result: BenchResult,
    program: Program,
    windows: NDArray[np.uint8],
    logits: NDArray[np.int64],
) -> None:
    """All ``logits`` [T, V] of ``windows`` [T, W] beside those of the reference executor."""
    expected = load_backend("reference")(program.model).run(windows)
    equal = int(np.count_nonzero(logits == expected))
    if equal != expected.size:
        raise BenchmarkError(
            f"{expected.size - equal} of {expected.size} logits of the simulated accelerator "
            f"({program.mapping} mapping) differ from the reference; this is a bug, please report"
        )
    row: Row = {"mapping": program.mapping, "frames": len(windows)}
    result.add_rows("logits", row | {"logits": expected.size, "equal": equal})
    result.figures[f"equal_logits_{program.mapping}"] = equal


def _measure_speed(
    result: BenchResult,
    accelerator: Accelerator,
    utterances: list[NDArray[np.uint8]],
    loading_s: float,
) -> None:
    """Wall time of the simulator itself, on a program that is loaded and has run once."""
    program = accelerator.program
    start = time.perf_counter()
    logits = accelerator.run(utterances).logits
    wall_s = time.perf_counter() - start
    frames = sum(map(len, logits))
    audio_s = frames * FrontEnd.of_model(program.model).config.frame_duration_s
    speed = 60 * audio_s / wall_s
    row: Row = {"mapping": program.mapping, "loading_s": loading_s, "utterances": len(logits)}
    row |= {"audio_s": audio_s, "wall_s": wall_s, "utterance_seconds_per_minute": speed}
    result.add_rows("speed of the simulator", row)
    result.figures[f"simulated_seconds_per_minute_{program.mapping}"] = speed
    result.figures[f"loading_s_{program.mapping}"] = loading_s
