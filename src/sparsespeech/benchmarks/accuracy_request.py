"""What ``bench accuracy`` asks of a recogniser and what it gets back. Axes: U utterances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sparsespeech.benchmarks.accuracy_plan import Run, TestSet
from sparsespeech.evaluation.word_error_rate import (
    UtteranceErrors,
    character_error_rate,
    word_error_rate,
)

Arithmetic = Literal["float", "int8"]
Rate = Literal["wer", "cer"]
FLOAT: Arithmetic = "float"
INT8: Arithmetic = "int8"
ARITHMETICS: tuple[Arithmetic, ...] = (FLOAT, INT8)
RATES: tuple[Rate, ...] = ("wer", "cer")


@dataclass(frozen=True)
class Request:
    """One model on one test set; ``with_lm`` decodes with the test set's language model.

    ``coded``: count the bytes of the int8 model with Huffman codes too.
    """

    run: Run
    arithmetic: Arithmetic
    test: TestSet
    with_lm: bool = False
    coded: bool = False


@dataclass(frozen=True)
class Recognised:
    """Errors [U] and speakers [U] of one request, and facts of the model.

    ``bytes_stored`` is the length of the int8 file, None for float, ``bytes_coded`` that of the
    same model with Huffman codes, None where it was not asked for; ``kept`` tells that the
    hypotheses come from an earlier run of the benchmark.
    """

    utterances: tuple[UtteranceErrors, ...]
    speakers: tuple[str, ...]
    checkpoint_sha256: str
    parameters: int
    nonzeros: int
    sparsity: float
    bytes_stored: int | None
    kept: bool
    bytes_coded: int | None = None

    @cached_property
    def wer(self) -> float:
        """Word error rate in per cent."""
        return word_error_rate(self.utterances)

    @cached_property
    def cer(self) -> float:
        """Character error rate in per cent."""
        return character_error_rate(self.utterances)

    def counts(self, rate: Rate) -> tuple[list[int], list[int]]:
        """Errors [U] and lengths [U] in words or in characters."""
        if rate == "wer":
            return [u.word_errors for u in self.utterances], [u.words for u in self.utterances]
        return (
            [u.character_errors for u in self.utterances],
            [u.characters for u in self.utterances],
        )
