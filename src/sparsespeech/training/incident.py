"""What went wrong in a run and was survived: an entry of ``log.jsonl``, and a line in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from sparsespeech.training.dataset import Unalignable

NAMED_UTTERANCES = 5  # of a batch whose gradient explodes


@dataclass(frozen=True)
class Incident:
    """``record`` goes into the log, ``sentence`` to the console."""

    record: dict[str, Any]
    sentence: str

    def say(self, console: Console, step: int) -> None:
        """Print the sentence with its ``step``."""
        console.print(
            f"step {step}: {self.sentence}", markup=False, highlight=False, soft_wrap=True
        )


def left_out(utterance: Unalignable) -> Incident:
    """An utterance that no alignment fits is not trained on."""
    record = {
        "path": utterance.name,
        "frames": utterance.frames,
        "frames_needed": utterance.needed,
    }
    return Incident({"left_out": record}, f"left out: {utterance.reason}")


def skipped(what: str, utterances: Sequence[str]) -> Incident:
    """A step was left out because ``what``, loss or gradient, is not finite."""
    return Incident(
        {"skipped": list(utterances), "not_finite": what},
        f"skipped, {what} not finite: {listed(utterances)}",
    )


def exploded(norm: float, usual: float, utterances: Sequence[str]) -> Incident:
    """A gradient was clipped that is far above the usual one; ``utterances`` have the most loss."""
    record = {"gradient_norm": norm, "median": usual, "utterances": list(utterances)}
    return Incident(
        {"explosion": record},
        f"gradient norm {norm:.3g} against a median of {usual:.3g}, clipped; largest losses: "
        f"{listed(utterances)}",
    )


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first ``shown`` names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
