"""CTC prefix beam search with an n-gram language model fused at word ends.

[Graves 2014, "Towards end-to-end speech recognition with recurrent neural networks", sec. 3.2;
Hannun 2014, "First-pass large vocabulary continuous speech recognition using bi-directional
recurrent DNNs", alg. 1]. The score of a text is

    ln P_acoustic(text) + alpha * ln P_language(text) + beta * words

where P_acoustic sums over all alignments that stay inside the beam. Deviations: leading and
repeated spaces are no text, so they add to the prefix without them; pruning is by distance from
the best score, not by a number of letters; the word under way is charged with an estimate of its
language score (``word_scoring.py``).

The best single alignment of each prefix is carried along; it gives the word times. Of prefixes with
equal scores at the edge of the beam the one of the earlier place stays.

There are two implementations: ``numpy_beam_search.py`` is the reference, the native module gives
equal transcripts.

Axes: T frames, V classes (the last is the CTC blank).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.implementation import native_decoding
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.native_beam_search import NativeBeamSearchStream
from sparsespeech.decoding.native_word_scoring import native_scorer
from sparsespeech.decoding.numpy_beam_search import NumpyBeamSearchStream
from sparsespeech.decoding.transcript import Transcript
from sparsespeech.decoding.word_scoring import NgramScorer, NoLanguageModel, WordScorer

# Chosen on 40 LibriSpeech utterances of a small model with a 3-gram of 80,000 words; the optimum
# is flat: half or twice the beam, or a fifth more or less alpha, costs up to 3 points of WER.
DEFAULT_BEAM_WIDTH = 64
DEFAULT_ALPHA = 0.75
DEFAULT_BETA = 1.2
DEFAULT_UNKNOWN_PENALTY = 2.0
DEFAULT_SCORE_THRESHOLD = 12.0


class BeamSearchStream(Protocol):
    """One utterance under way. The cost of a frame does not depend on the frames before it."""

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, float32[t, V] in nats.

        Raises ValueError for another V, NaN or +inf; the stream is then as it was before.
        """
        ...

    def partial(self) -> Transcript:
        """The best transcript so far; its last word may still grow or change."""
        ...

    def finish(self) -> Transcript:
        """The best transcript if no frame follows."""
        ...

    def n_best(self, count: int) -> list[Transcript]:
        """Up to ``count`` different transcripts if no frame follows, best first."""
        ...


class BeamSearchDecoder:
    """Settings of the search; one decoder serves any number of utterances and streams."""

    def __init__(
        self,
        alphabet: Alphabet,
        beam_width: int = DEFAULT_BEAM_WIDTH,
        language_model: LanguageModel | None = None,
        alpha: float = DEFAULT_ALPHA,
        beta: float = DEFAULT_BETA,
        *,
        unknown_penalty: float = DEFAULT_UNKNOWN_PENALTY,
        score_threshold: float = DEFAULT_SCORE_THRESHOLD,
        frame_duration_s: float = 0.02,
    ) -> None:
        """``alpha``, ``beta`` and ``unknown_penalty`` act only with a ``language_model``.

        ``score_threshold``: prefixes this many nats below the best one are dropped.
        Raises AlphabetMismatchError if the language model holds words that ``alphabet`` cannot
        write, more than half of them; fewer are ignored, ``ignored_words`` counts them.
        Raises ValueError for a width below 1, a threshold below 0 and weights beyond +-1e6.
        """
        if beam_width < 1:
            raise ValueError(f"beam_width must be at least 1, got {beam_width}")
        if not score_threshold >= 0:  # NaN too
            raise ValueError(f"score_threshold must be at least 0, got {score_threshold}")
        self.alphabet = alphabet
        self.beam_width = beam_width
        self.score_threshold = score_threshold
        self.frame_duration_s = frame_duration_s
        self.ignored_words = 0
        self._scorer: WordScorer = NoLanguageModel()
        self._native = native_decoding()
        self._native_scorer = None
        if language_model is not None:
            scorer = NgramScorer(language_model, alphabet, alpha, beta, unknown_penalty)
            self._scorer = scorer
            self.ignored_words = scorer.ignored_words
            if self._native is not None:
                self._native_scorer = native_scorer(self._native, scorer)

    @property
    def scorer(self) -> WordScorer:
        """Language scores of the search."""
        return self._scorer

    def decode(self, log_probabilities: NDArray[np.float32]) -> Transcript:
        """Best transcript of a whole utterance, float32[T, V] in nats; T may be 0.

        Raises ValueError for another V, NaN or +inf.
        """
        return self.n_best(log_probabilities, 1)[0]

    def n_best(self, log_probabilities: NDArray[np.float32], count: int) -> list[Transcript]:
        """Up to ``count`` different transcripts, best first."""
        stream = self.stream()
        stream.accept(log_probabilities)
        return stream.n_best(count)

    def stream(self) -> BeamSearchStream:
        """A search that takes its frames in pieces."""
        if self._native is None:
            return NumpyBeamSearchStream(self)
        return NativeBeamSearchStream(self, self._native, self._native_scorer)
