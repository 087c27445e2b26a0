"""Decoders and language models on drawn inputs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.decoding.text_normalisation import sentences, words_of_sentence

ALPHABETS = [Alphabet(("a",)), Alphabet((" ", "a")), Alphabet(("a", " ", "b"))]
SENTENCES = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), min_size=1, max_size=8
)


@st.composite
def utterances(draw: st.DrawFn) -> tuple[Alphabet, NDArray[np.float32]]:
    """An alphabet and log-probabilities [T, V] that are not normalised, with ties and spikes."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    frames = draw(st.integers(0, 5))
    level = st.sampled_from([-12.0, -3.0, -1.0, -0.5, 0.0])
    values = draw(
        st.lists(level, min_size=frames * alphabet.classes, max_size=frames * alphabet.classes)
    )
    return alphabet, np.array(values, np.float32).reshape(frames, alphabet.classes)


def summed_over_alignments(
    scores: NDArray[np.float32], alphabet: Alphabet
) -> dict[str, tuple[float, float]]:
    """Text to the sum over its alignments and the score of the best one."""
    totals: dict[str, tuple[float, float]] = {}
    for path in itertools.product(range(alphabet.classes), repeat=len(scores)):
        score = sum(float(scores[t, c]) for t, c in enumerate(path))
        letters = [alphabet.symbols[c] for c, _ in itertools.groupby(path) if c != alphabet.blank]
        text = " ".join("".join(letters).split())
        total, best = totals.get(text, (-math.inf, -math.inf))
        totals[text] = (float(np.logaddexp(total, score)), max(best, score))
    return totals


@given(utterances())
def test_unlimited_beam_is_exact(utterance: tuple[Alphabet, NDArray[np.float32]]) -> None:
    alphabet, scores = utterance
    decoder = BeamSearchDecoder(alphabet, 10**9, score_threshold=math.inf)
    found = {transcript.text: transcript.score for transcript in decoder.n_best(scores, 10**9)}
    exact = {text: total for text, (total, _) in summed_over_alignments(scores, alphabet).items()}
    assert found == pytest.approx(exact, abs=1e-6)


@given(utterances())
def test_greedy_is_the_best_alignment(utterance: tuple[Alphabet, NDArray[np.float32]]) -> None:
    alphabet, scores = utterance
    transcript = greedy_decode(scores, alphabet)
    exact = summed_over_alignments(scores, alphabet)
    assert transcript.score == pytest.approx(max(best for _, best in exact.values()), abs=1e-6)
    assert exact[transcript.text][1] == pytest.approx(transcript.score, abs=1e-6)


@given(utterances(), st.integers(1, 6), st.floats(0.0, 20.0))
def test_words_are_in_order_and_inside_the_utterance(
    utterance: tuple[Alphabet, NDArray[np.float32]], width: int, threshold: float
) -> None:
    alphabet, scores = utterance
    beam = BeamSearchDecoder(alphabet, width, score_threshold=threshold, frame_duration_s=1.0)
    for transcript in (*beam.n_best(scores, 3), greedy_decode(scores, alphabet, 1.0)):
        assert transcript.text == " ".join(word.word for word in transcript.words)
        times = [time for word in transcript.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(word.start < word.end for word in transcript.words)
        assert all(0.0 <= word.confidence <= 1.0 for word in transcript.words)
        assert not times or (times[0] >= 0 and times[-1] <= len(scores))


@given(utterances(), st.integers(1, 6), st.lists(st.integers(0, 5), max_size=4))
def test_chunking_does_not_matter(
    utterance: tuple[Alphabet, NDArray[np.float32]], width: int, cuts: list[int]
) -> None:
    alphabet, scores = utterance
    decoder = BeamSearchDecoder(alphabet, width)
    stream = decoder.stream()
    for chunk in np.split(scores, sorted(min(cut, len(scores)) for cut in cuts)):
        stream.accept(chunk)
    assert stream.finish() == decoder.decode(scores)


@given(SENTENCES, st.integers(1, 4), st.sampled_from([None, 1, 3]), st.integers(0, 2))
def test_ngram_probabilities_sum_to_one(
    corpus: list[list[str]], order: int, vocabulary_size: int | None, threshold: int
) -> None:
    trained = train_ngram(corpus, order, vocabulary_size=vocabulary_size, prune=(0, threshold))
    model = LanguageModel(trained.tables)
    for sentence in [[], *corpus]:
        state = model.initial_state
        for word in sentence:
            state = model.score(state, word)[1]
        words = [*model.words(), "<unk>"]
        total = sum(math.exp(model.score(state, word)[0]) for word in words)
        assert total + math.exp(model.score_end(state)) == pytest.approx(1.0, abs=1e-9)


@given(st.text("abzABZ '’“”.,?!-_&\n0129£é½æλŁ", max_size=60))
def test_normalised_text_can_be_written_and_is_stable(text: str) -> None:
    for words in sentences(text):
        assert all(word and set(word) <= set("abcdefghijklmnopqrstuvwxyz'") for word in words)
        assert words_of_sentence(" ".join(words)) == words
