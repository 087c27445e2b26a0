"""Native decoders equal the numpy ones on drawn input: texts, times, confidences and scores."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.decoding import implementation
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode, numpy_greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.decoding.numpy_beam_search import NumpyBeamSearchStream
from tests.posteriors import random_posteriors
from tests.random_sentences import random_sentences

if implementation.native_decoding() is None:
    pytest.skip("the native decoders were not built", allow_module_level=True)

ALPHABETS = [Alphabet(tuple(text)) for text in ("a", " a", "ab ", "abcd", " abcdefgh'", "é ab")]
LEVELS = [-math.inf, -40.0, -12.0, -3.0, -1.0, -0.5, -0.5 - 2**-24, 0.0]


@st.composite
def utterances(draw: st.DrawFn) -> tuple[Alphabet, NDArray[np.float32]]:
    """Posteriors of normal noise, or few levels with many ties and impossible classes."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    frames = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.0, 0.3, 1.0, 3.0, 8.0]))
    if spread:
        return alphabet, random_posteriors(rng, frames, alphabet.classes, spread)
    return alphabet, rng.choice(LEVELS, (frames, alphabet.classes)).astype(np.float32)


@lru_cache
def language_model(seed: int, order: int) -> LanguageModel:
    """Words of one to three letters."""
    words = {"a": "a", "b": "ab", "c": "b", "d": "aba", "e": "ad", "f": "cab", "g": "fe", "h": "dd"}
    sentences = [[words[word] for word in s] for s in random_sentences(seed, 100)]
    return LanguageModel(train_ngram(sentences, order).tables)


@st.composite
def decoders(draw: st.DrawFn, alphabet: Alphabet, frames: int) -> BeamSearchDecoder:
    model = None
    unlimited = [10**20] if frames <= 4 else []  # an unlimited beam grows exponentially
    if set("abcdef") <= set(alphabet.symbols) and draw(st.booleans()):
        model = language_model(draw(st.integers(0, 3)), draw(st.integers(1, 4)))
    return BeamSearchDecoder(
        alphabet,
        draw(st.sampled_from([1, 2, 3, 5, 16, 64, *unlimited])),
        model,
        draw(st.sampled_from([0.0, 0.75, 2.0])),
        draw(st.floats(-2.0, 4.0)),
        unknown_penalty=draw(st.sampled_from([0.0, 0.5, 2.0])),
        score_threshold=draw(st.sampled_from([0.0, 1.0, 6.0, 12.0])),
        frame_duration_s=draw(st.sampled_from([0.02, 0.03, 1.0])),
    )


@given(st.data(), utterances())
def test_beam_search(data: st.DataObject, utterance: tuple[Alphabet, NDArray[np.float32]]) -> None:
    alphabet, scores = utterance
    decoder = data.draw(decoders(alphabet, len(scores)))
    native, reference = decoder.stream(), NumpyBeamSearchStream(decoder)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(scores)), max_size=3)))
    for chunk in np.split(scores, cuts):
        native.accept(chunk)
        reference.accept(chunk)
        assert native.partial() == reference.partial()
        assert native.n_best(5) == reference.n_best(5)
    assert native.n_best(1000) == reference.n_best(1000)
    assert native.finish() == reference.finish() == decoder.decode(scores)


@given(utterances(), st.sampled_from([0.02, 0.03]))
def test_greedy(utterance: tuple[Alphabet, NDArray[np.float32]], duration: float) -> None:
    alphabet, scores = utterance
    expected = numpy_greedy_decode(scores.astype(np.float64), alphabet, duration)
    assert greedy_decode(scores, alphabet, duration) == expected
