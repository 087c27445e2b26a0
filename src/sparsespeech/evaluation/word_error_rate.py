"""Word and character errors of transcripts; the alignment is jiwer's (minimum edit distance).

Reference and hypothesis are normalised alike (lower case, one apostrophe, single spaces). Rates
are per cent: 100 * (substitutions + deletions + insertions) / reference length. Characters
include the spaces between words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from sparsespeech.decoding.alphabet import normalise_transcript


@dataclass(frozen=True)
class UtteranceErrors:
    """Errors of one utterance; ``words`` and ``characters`` count the reference."""

    reference: str
    hypothesis: str
    words: int
    substitutions: int
    deletions: int
    insertions: int
    characters: int
    character_errors: int

    @property
    def word_errors(self) -> int:
        """Substitutions, deletions and insertions of words."""
        return self.substitutions + self.deletions + self.insertions


def count_errors(reference: str, hypothesis: str) -> UtteranceErrors:
    """Errors of ``hypothesis``; each word of it is an insertion if the reference is empty."""
    reference, hypothesis = normalise_transcript(reference), normalise_transcript(hypothesis)
    words = jiwer.process_words([reference], [hypothesis])
    characters = jiwer.process_characters([reference], [hypothesis])
    return UtteranceErrors(
        reference=reference,
        hypothesis=hypothesis,
        words=len(reference.split()),
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        characters=len(reference),
        character_errors=characters.substitutions + characters.deletions + characters.insertions,
    )


def word_error_rate(utterances: Sequence[UtteranceErrors]) -> float:
    """Errors over reference words of all utterances, per cent."""
    return error_rate(
        sum(utterance.word_errors for utterance in utterances),
        sum(utterance.words for utterance in utterances),
    )


def character_error_rate(utterances: Sequence[UtteranceErrors]) -> float:
    """Errors over reference characters of all utterances, per cent."""
    return error_rate(
        sum(utterance.character_errors for utterance in utterances),
        sum(utterance.characters for utterance in utterances),
    )


def error_rate(errors: int, length: int) -> float:
    """Per cent; references without a word count as one, so that the rate stays finite."""
    return 100.0 * errors / max(length, 1)


def alignment(utterance: UtteranceErrors, line_width: int | None = None) -> str:
    """Reference above hypothesis, words aligned, errors marked S, D or I in a third line."""
    output = jiwer.process_words([utterance.reference], [utterance.hypothesis])
    drawn: str = jiwer.visualize_alignment(
        output, show_measures=False, skip_correct=False, line_width=line_width
    )
    lines = [line.rstrip() for line in drawn.splitlines() if not line.startswith("===")]
    return "\n".join(lines).strip("\n")
