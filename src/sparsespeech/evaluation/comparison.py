"""Several models on the same utterances: table, speakers, worst utterances.

The first model is the one that the others are compared with, pairwise on the same utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparsespeech.evaluation.bootstrap import paired_difference, rate_interval
from sparsespeech.evaluation.word_error_rate import (
    UtteranceErrors,
    alignment,
    character_error_rate,
    word_error_rate,
)


@dataclass(frozen=True)
class ModelErrors:
    """One model's errors on all utterances, in the order of the manifest."""

    model: str
    utterances: tuple[UtteranceErrors, ...]
    audio_s: float
    recognition_s: float  # features, network and decoding, without reading the audio

    @property
    def realtime_factor(self) -> float:
        """Recognition time over audio time."""
        return self.recognition_s / self.audio_s if self.audio_s else 0.0


class Comparison:
    """Errors of ``models`` on utterances of ``speakers`` [U] with the names ``identifiers`` [U].

    ``by_speaker`` draws whole speakers for the intervals.
    """

    def __init__(
        self,
        models: Sequence[ModelErrors],
        speakers: Sequence[str],
        identifiers: Sequence[str],
        *,
        by_speaker: bool = False,
    ) -> None:
        self.models = tuple(models)
        self._speakers = list(speakers)
        self._identifiers = list(identifiers)
        self._groups = self._speakers if by_speaker else None

    def figures(self, model: ModelErrors) -> dict[str, Any]:
        """Error rates with 95 % intervals in per cent, counts, and speed."""
        utterances = model.utterances
        errors = [utterance.word_errors for utterance in utterances]
        lengths = [utterance.words for utterance in utterances]
        low, high = rate_interval(errors, lengths, speakers=self._groups)
        cer_low, cer_high = rate_interval(
            [utterance.character_errors for utterance in utterances],
            [utterance.characters for utterance in utterances],
            speakers=self._groups,
        )
        figures: dict[str, Any] = {
            "utterances": len(utterances),
            "wer": word_error_rate(utterances),
            "wer_low": low,
            "wer_high": high,
            "cer": character_error_rate(utterances),
            "cer_low": cer_low,
            "cer_high": cer_high,
            "words": sum(lengths),
            "substitutions": sum(utterance.substitutions for utterance in utterances),
            "deletions": sum(utterance.deletions for utterance in utterances),
            "insertions": sum(utterance.insertions for utterance in utterances),
            "audio_s": model.audio_s,
            "realtime_factor": model.realtime_factor,
        }
        if model is not self.models[0]:
            first = [utterance.word_errors for utterance in self.models[0].utterances]
            difference, low, high = paired_difference(errors, first, lengths, speakers=self._groups)
            figures["difference"] = {"wer": difference, "wer_low": low, "wer_high": high}
        return figures

    def summary(self) -> str:
        """One line a model: rates with intervals, difference from the first, speed."""
        rows = []
        for model in self.models:
            figures = self.figures(model)
            rows.append(
                [
                    model.model,
                    _rate(figures, "wer"),
                    _rate(figures, "cer"),
                    _signed(figures["difference"]) if "difference" in figures else "",
                    f"{figures['substitutions']}/{figures['deletions']}/{figures['insertions']}",
                    f"{figures['realtime_factor']:.3f}",
                ]
            )
        header = ["model", "WER % [95 %]", "CER % [95 %]", "against the first", "S/D/I", "RTF"]
        if len(rows) == 1:
            rows, header = [row[:3] + row[4:] for row in rows], header[:3] + header[4:]
        return text_table(header, rows)

    def speaker_table(self) -> str:
        """One line a speaker: utterances, words and the WER of each model, hardest first."""
        by_speaker: dict[str, list[int]] = {}
        for number, speaker in enumerate(self._speakers):
            by_speaker.setdefault(speaker, []).append(number)
        rows = []
        for speaker, numbers in by_speaker.items():
            rates = [
                word_error_rate([model.utterances[number] for number in numbers])
                for model in self.models
            ]
            words = sum(self.models[0].utterances[number].words for number in numbers)
            rows.append(
                (
                    -max(rates),
                    [speaker or "(unknown)", str(len(numbers)), str(words)]
                    + [f"{rate:.1f}" for rate in rates],
                )
            )
        header = ["speaker", "utterances", "words"]
        header += [f"WER % {model.model}" for model in self.models]
        return text_table(header, [row for _, row in sorted(rows, key=lambda item: item[0])])

    def worst_utterances(self, count: int = 10, line_width: int = 100) -> str:
        """The utterances with the most word errors, all models together, with alignments."""
        total = [
            sum(model.utterances[number].word_errors for model in self.models)
            for number in range(len(self._identifiers))
        ]
        ranked = sorted(range(len(total)), key=lambda number: -total[number])
        blocks = []
        for number in ranked[:count]:
            if total[number] == 0:
                break
            lines = [self._identifiers[number]]
            for model in self.models:
                utterance = model.utterances[number]
                lines.append(
                    f"  {model.model}: {utterance.word_errors} errors in {utterance.words} words"
                )
                drawn = alignment(utterance, line_width)
                lines += [f"    {line}".rstrip() for line in drawn.splitlines()]
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned first column, right-aligned others, as wide as they need."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _rate(figures: dict[str, Any], name: str) -> str:
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return f"{figures[name]:.1f} [{low:.1f}, {high:.1f}]"


def _signed(difference: dict[str, float]) -> str:
    return f"{difference['wer']:+.1f} [{difference['wer_low']:+.1f}, {difference['wer_high']:+.1f}]"
