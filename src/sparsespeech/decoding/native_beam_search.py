"""The CTC prefix beam search of the native module, behind the interface of the numpy one."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.log_probabilities import checked_log_probabilities
from sparsespeech.decoding.native_transcript import native_alphabet, transcript_from_native
from sparsespeech.decoding.transcript import Transcript

if TYPE_CHECKING:
    from sparsespeech.decoding.beam_search import BeamSearchDecoder

_WIDEST_BEAM = 2**31 - 1  # more prefixes than the native search can number


class NativeBeamSearchStream:
    """One utterance under way; other threads of Python run while it searches."""

    def __init__(self, decoder: BeamSearchDecoder, native: ModuleType, scorer: Any) -> None:
        """``scorer``: the native one of the decoder, None without a language model."""
        self._alphabet = decoder.alphabet
        self._frame_duration_s = decoder.frame_duration_s
        self._search = native.BeamSearch(
            native_alphabet(native, decoder.alphabet),
            scorer,
            min(decoder.beam_width, _WIDEST_BEAM),
            decoder.score_threshold,
        )

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, float32[t, V] in nats. Raises ValueError as decode does."""
        self._search.accept(checked_log_probabilities(log_probabilities, self._alphabet))

    def partial(self) -> Transcript:
        """The best transcript so far; its last word may still grow or change."""
        return transcript_from_native(self._search.partial(), self._frame_duration_s)

    def finish(self) -> Transcript:
        """The best transcript if no frame follows."""
        return self.n_best(1)[0]

    def n_best(self, count: int) -> list[Transcript]:
        """Up to ``count`` different transcripts if no frame follows, best first."""
        found = self._search.n_best(min(count, _WIDEST_BEAM))
        return [transcript_from_native(transcript, self._frame_duration_s) for transcript in found]
