"""``bench training``: one training step of our LSTM and of DeepSpeech, beside ``nn.LSTM``.

Axes: T frames, B utterances.

The batch is zero-padded to T frames, its lengths vary. Ours and packed sequences see the lengths;
``nn.LSTM`` without packing runs over the padding and is faster for it, though what it computes for
the backward direction of short utterances is then another function. "layer" is forward and
backward of the bidirectional LSTM layer alone, "model" a whole step of DeepSpeech: forward, CTC
loss, backward, clipped gradients and AdamW. Ours is timed as it trains by default, with the
factors of matrix products in bfloat16, and in float32.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsespeech.benchmarks.measurement import Timing, ratio_row, take_turns
from sparsespeech.benchmarks.peer_process import PeerProcess, PeerSetup
from sparsespeech.benchmarks.peer_worker import TRAINING_TASK
from sparsespeech.benchmarks.peers import INSTALL_HINT
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.errors import MissingDependencyError

WIDTHS = (256, 384, 512, 768, 1024)
QUICK_WIDTHS = (32, 64)
FIGURE_WIDTH = 768
UTTERANCES, STEPS = 24, 150
SHORTEST = 60  # frames of the shortest utterance of the batch
SPARSITY = 0.96
FRAME_S = 0.02
WORKS = ("layer", "model")
OURS, OURS_FLOAT32, OURS_SPARSE = "ours_bf16", "ours_fp32", "ours_sparse_bf16"
_MODULE = "sparsespeech.benchmarks.peers_training"


@dataclass(frozen=True)
class Contender:
    """One way to train; ``precision`` is what ``peers_training.prepare`` reads."""

    precision: str
    title: str


CONTENDERS = {
    OURS: Contender("ours bf16", "ours, bf16 products"),
    OURS_FLOAT32: Contender("ours fp32", "ours, float32"),
    OURS_SPARSE: Contender("sparse bf16", "ours, 96 % pruned"),
    "nn_lstm_fp32": Contender("torch fp32", "nn.LSTM, float32"),
    "nn_lstm_bf16": Contender("torch bf16", "nn.LSTM, bf16 autocast"),
    "nn_lstm_packed": Contender("packed fp32", "nn.LSTM, packed, float32"),
    "nn_lstm_packed_bf16": Contender("packed bf16", "nn.LSTM, packed, bf16 autocast"),
}
PACKED = ("nn_lstm_packed", "nn_lstm_packed_bf16")


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
        """The width of the figures: 768, or the largest where that is not measured."""
        return FIGURE_WIDTH if FIGURE_WIDTH in self.widths else max(self.widths)


def run_training(options: TrainingOptions) -> BenchResult:
    """Measure all widths.

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
    for width in options.widths:
        for work in WORKS:
            options.on_progress(f"{work}, width {width}")
            task = {"work": work, "width": width, "steps": options.steps, "lengths": lengths}
            rows = _measure(result, task | {"sparsity": SPARSITY}, options)
            result.add_rows(work, *rows)
            if width == options.figure_width:
                _add_figures(result, work, {row["name"]: row for row in rows})
    return result


def batch_lengths(utterances: int, steps: int) -> list[int]:
    """Frames of each utterance, evenly from ``steps`` down to SHORTEST of STEPS of it."""
    shortest = max(1, steps * SHORTEST // STEPS)
    last = max(1, utterances - 1)
    return [steps - (steps - shortest) * number // last for number in range(utterances)]


def _measure(result: BenchResult, task: dict[str, Any], options: TrainingOptions) -> list[Row]:
    audio_s = sum(task["lengths"]) * FRAME_S
    with started_contenders(task, options.threads) as contenders:
        ours, *others = contenders.values()
        timings = take_turns(ours, others, rounds=options.rounds)
        for contender in contenders.values():
            result.add_versions(contender.versions)
        return [
            {"width": task["width"]} | _row(contender, timings[name], timings[OURS], audio_s)
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


def _row(contender: PeerProcess, timing: Timing, ours: Timing, audio_s: float) -> Row:
    output, gradient = contender.outputs.tolist()
    row = timing.to_row() | {"title": CONTENDERS[timing.name].title} | ratio_row(timing, ours)
    return row | {
        "audio_hours_per_hour": audio_s / timing.median,
        "output_difference": output,
        "gradient_difference": gradient,
        "resident_mib": round(contender.resident_mib),
        "notes": ", ".join(f"{key} {value}" for key, value in contender.notes.items()),
    }


def _add_figures(result: BenchResult, work: str, rows: dict[str, Row]) -> None:
    """Ratios of medians to ours; those of the whole step begin with ``model_``.

    Packed sequences count with the faster of their two precisions.
    """
    prefix = "" if work == "layer" else "model_"
    milliseconds = {name: float(row["median_ms"]) for name, row in rows.items()}
    ours = milliseconds[OURS]
    figures = result.figures
    for name in ("nn_lstm_fp32", "nn_lstm_bf16"):
        figures[f"{prefix}ratio_{name}"] = milliseconds[name] / ours
    figures[f"{prefix}ratio_nn_lstm_packed"] = min(milliseconds[name] for name in PACKED) / ours
    figures[f"{prefix}ratio_nn_lstm_fp32_both_fp32"] = (
        milliseconds["nn_lstm_fp32"] / milliseconds[OURS_FLOAT32]
    )
    figures[f"{prefix}ratio_nn_lstm_bf16_to_sparse"] = (
        milliseconds["nn_lstm_bf16"] / milliseconds[OURS_SPARSE]
    )
    figures[f"{prefix}audio_hours_per_hour"] = float(rows[OURS]["audio_hours_per_hour"])
