"""``bench training``: one training step of our LSTM and of DeepSpeech, beside ``nn.LSTM``.

Axes: T frames, B utterances.

The batch is zero-padded to T frames, its lengths vary. Ours and packed sequences see the lengths;
``nn.LSTM`` without packing runs over the padding and is faster for it, though what it computes for
the backward direction of short utterances is then another function. "layer" is forward and
backward of one bidirectional LSTM layer, "model" a whole step of DeepSpeech: forward, CTC loss,
backward, clipped gradients and AdamW. Ours is timed as it trains by default, with the factors of
matrix products in bfloat16; packed sequences run under bf16 autocast, the faster way for them.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsespeech.benchmarks import measurement
from sparsespeech.benchmarks.measurement import Timing
from sparsespeech.benchmarks.peer_process import PeerProcess, PeerSetup
from sparsespeech.benchmarks.peer_worker import TRAINING_TASK
from sparsespeech.benchmarks.peers import INSTALL_HINT
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.errors import BenchmarkError, MissingDependencyError

WIDTHS = (256, 384, 512, 768, 1024)
QUICK_WIDTHS = (32, 64)
FIGURE_WIDTH = 768
UTTERANCES, STEPS = 32, 150  # the kernels work in lanes of 16 utterances
SHORTEST = 60  # frames of the shortest utterance of the batch
SPARSITY = 0.96
FRAME_S = 0.02
WORKS = ("layer", "model")
OURS, OURS_SPARSE = "ours_dense", "ours_sparse"
# A run this long needs no other run before it to warm up, and one of them fills a turn.
LONG_RUN_SECONDS = 1.0
_MODULE = "sparsespeech.benchmarks.peers_training"


@dataclass(frozen=True)
class Contender:
    """One way to train; ``precision`` is what ``peers_training.prepare`` reads."""

    precision: str
    title: str


CONTENDERS = {
    OURS: Contender("ours bf16", "ours, dense"),
    OURS_SPARSE: Contender("sparse bf16", "ours, 96 % pruned"),
    "nn_lstm_fp32": Contender("torch fp32", "nn.LSTM, float32"),
    "nn_lstm_bf16": Contender("torch bf16", "nn.LSTM, bf16 autocast"),
    "nn_lstm_packed": Contender("packed bf16", "nn.LSTM, packed, bf16"),
}
TORCH = ("nn_lstm_fp32", "nn_lstm_bf16", "nn_lstm_packed")


@dataclass(frozen=True)
class TrainingOptions:
    """``on_progress`` is told what is measured now."""

    rounds: int
    widths: tuple[int, ...] = WIDTHS
    utterances: int = UTTERANCES
    steps: int = STEPS
    threads: int = 1
    on_progress: Callable[[str], None] = lambda what: None

    @property
    def figure_width(self) -> int:
        """The width of the figures and of the whole step: 768, else the largest measured."""
        return FIGURE_WIDTH if FIGURE_WIDTH in self.widths else max(self.widths)

    @property
    def tasks(self) -> list[tuple[str, int]]:
        """Work and width of each measurement, in their order."""
        return [*(("layer", width) for width in self.widths), ("model", self.figure_width)]


def parse_widths(text: str) -> tuple[int, ...]:
    """Different widths of a comma-separated list, smallest first; raises BenchmarkError."""
    try:
        widths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        widths = []
    if not widths or widths[0] < 1:
        raise BenchmarkError(f"widths: expected whole numbers such as 256,512, got {text!r}")
    return tuple(widths)


def run_training(options: TrainingOptions) -> BenchResult:
    """Measure the layer at all widths and the whole step at one.

    Raises MissingDependencyError without torch, BenchmarkError where a contender fails or its
    outputs or gradients are not those of ``nn.LSTM``.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError(f"training needs torch, which is absent: {INSTALL_HINT}")
    lengths = batch_lengths(options.utterances, options.steps)
    result = BenchResult(
        "training",
        {
            "widths": list(options.widths),
            "figure_width": options.figure_width,
            "utterances": options.utterances,
            "steps": options.steps,
            "lengths": lengths,
            "sparsity": SPARSITY,
            "threads": options.threads,
            "rounds": options.rounds,
        },
    )
    for work, width in options.tasks:
        options.on_progress(f"{work}, width {width}")
        task = {"work": work, "width": width, "steps": options.steps, "lengths": lengths}
        rows = _measure(result, task | {"sparsity": SPARSITY}, options)
        result.add_rows(work, *rows)
        add_figures(result, work, rows, whole=width == options.figure_width)
    return result


def batch_lengths(utterances: int, steps: int) -> list[int]:
    """Frames of each utterance, evenly from ``steps`` down to SHORTEST of STEPS of it."""
    shortest = max(1, steps * SHORTEST // STEPS)
    last = max(1, utterances - 1)
    return [steps - (steps - shortest) * number // last for number in range(utterances)]


def _measure(result: BenchResult, task: dict[str, Any], options: TrainingOptions) -> list[Row]:
    audio_s = sum(task["lengths"]) * FRAME_S
    with started_contenders(task, options.threads) as contenders:
        timings = take_rounds(contenders, options.rounds)
        for contender in contenders.values():
            result.add_versions(contender.versions)
        theirs = [timings[name] for name in TORCH]
        return [
            {"width": task["width"]} | _row(contender, timings[name], theirs, audio_s)
            for name, contender in contenders.items()
        ]


@contextmanager
def started_contenders(
    task: dict[str, Any], threads: int, names: Sequence[str] = tuple(CONTENDERS)
) -> Iterator[dict[str, PeerProcess]]:
    """The contenders for one task, each in a process that sleeps unless it is asked to run.

    Raises BenchmarkError if one cannot start or does not compute what ``nn.LSTM`` computes.
    """
    with TemporaryDirectory(prefix="sparsespeech-bench-") as name, ExitStack() as running:
        folder = Path(name)
        (folder / TRAINING_TASK).write_text(json.dumps(task), encoding="utf-8")
        contenders = {}
        for each in names:
            setup = PeerSetup(
                each,
                _MODULE,
                CONTENDERS[each].precision,
                ("torch",),
                {},
                advice="no figure is reported",
            )
            contenders[each] = running.enter_context(PeerProcess(setup, folder, threads))
        yield contenders


def take_rounds(contenders: Mapping[str, PeerProcess], rounds: int) -> dict[str, Timing]:
    """Timings by name; every contender has one turn in each round, so a slow spell hits all."""
    counts = {name: _runs_of_turn(contender) for name, contender in contenders.items()}
    turns: dict[str, list[tuple[float, ...]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds = contender.time_runs(counts[name], warm=counts[name] > 1)
            turns[name].append(tuple(seconds))
            time.sleep(measurement.SETTLE_SECONDS)
    return {name: Timing(name, tuple(recorded)) for name, recorded in turns.items()}


def _runs_of_turn(contender: PeerProcess) -> int:
    """1 for long runs, else as many as take TURN_SECONDS, at least 2."""
    if contender.first_s >= LONG_RUN_SECONDS:
        return 1
    (seconds,) = contender.time_runs(1)  # the first run also prepared things
    if seconds >= LONG_RUN_SECONDS:
        return 1
    return max(2, round(measurement.TURN_SECONDS / max(seconds, 1e-9)))


def _row(contender: PeerProcess, timing: Timing, theirs: Sequence[Timing], audio_s: float) -> Row:
    output, gradient, *exact = contender.outputs.tolist()
    row = timing.to_row() | {"title": CONTENDERS[timing.name].title, **speedup_row(timing, theirs)}
    row |= {
        "audio_hours_per_hour": audio_s / timing.median,
        "peak_mib": round(contender.peak_mib),
        "output_difference": output,
        "gradient_difference": gradient,
    }
    if timing.name not in TORCH:
        row |= dict(
            zip(
                ("output_difference_fp32", "gradient_difference_fp32", "largest_output_fp32",
                 "largest_gradient_fp32"),
                exact,
                strict=True,
            )
        )  # fmt: skip
    notes = ", ".join(f"{key} {value}" for key, value in contender.notes.items())
    return row | {"notes": notes}


def speedup_row(timing: Timing, theirs: Sequence[Timing]) -> Row:
    """How many times faster than the fastest of ``theirs`` in the same round: median, least, most.

    A slow spell hits all of a round; and which way is the fastest may change from round to round.
    """
    ratios = [
        min(statistics.median(other) for other in others) / statistics.median(own)
        for own, *others in zip(timing.turns, *(other.turns for other in theirs), strict=True)
    ]
    return {
        "speedup": statistics.median(ratios),
        "speedup_low": min(ratios),
        "speedup_high": max(ratios),
    }


def add_figures(result: BenchResult, work: str, rows: Sequence[Row], *, whole: bool) -> None:
    """Figures of one width of the layer, or of the whole step (prefix ``model_``).

    Each width has its speedups over the best way of torch, those of the figure width (``whole``)
    by their plain names and with the ratio to every way of torch. Differences are the largest of
    all widths.
    """
    prefix = "" if work == "layer" else "model_"
    by_name = {str(row["name"]): row for row in rows}
    ours, sparse, figures = by_name[OURS], by_name[OURS_SPARSE], result.figures
    if work == "layer":
        width = ours["width"]
        figures[f"ratio_best_torch_{width}"] = ours["speedup"]
        figures[f"ratio_best_torch_sparse_{width}"] = sparse["speedup"]
        for what in ("output", "gradient"):
            name = f"largest_{what}_difference_fp32"
            figures[name] = max(figures.get(name, 0.0), ours[f"largest_{what}_fp32"])
    if whole:
        for name in TORCH:
            figures[f"{prefix}ratio_{name}"] = by_name[name]["median_ms"] / ours["median_ms"]
        figures[f"{prefix}ratio_best_torch"] = ours["speedup"]
        figures[f"{prefix}ratio_best_torch_sparse"] = sparse["speedup"]
        for row, suffix in ((ours, ""), (sparse, "_sparse")):
            figures[f"{prefix}audio_hours_per_hour{suffix}"] = row["audio_hours_per_hour"]
