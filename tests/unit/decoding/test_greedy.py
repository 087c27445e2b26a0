"""Greedy decoding on posteriors that are written by hand."""

import itertools
import math

import numpy as np
import pytest

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from tests.posteriors import posteriors

pytestmark = pytest.mark.usefixtures("each_implementation")

ALPHABET = Alphabet()


def test_repeats_merge_and_a_blank_separates_double_letters() -> None:
    assert greedy_decode(posteriors("hheel-lloo"), ALPHABET).text == "hello"
    assert greedy_decode(posteriors("hheellloo"), ALPHABET).text == "helo"


def test_word_times_are_first_and_last_frame_of_the_letters() -> None:
    transcript = greedy_decode(posteriors("--aab-- --cc-"), ALPHABET, frame_duration_s=0.5)
    times = [(word.word, word.start, word.end) for word in transcript.words]
    assert times == [("ab", 1.0, 2.5), ("c", 5.0, 6.0)]


def test_confidence_is_the_product_of_the_peaks() -> None:
    scores = posteriors("aab", peak=[0.6, 0.9, 0.5])
    word = greedy_decode(scores, ALPHABET).words[0]
    assert word.confidence == pytest.approx(0.9 * 0.5, rel=1e-6)


def test_score_is_the_log_probability_of_the_best_path() -> None:
    scores = posteriors("a-b", peak=[0.6, 0.9, 0.5])
    assert greedy_decode(scores, ALPHABET).score == pytest.approx(math.log(0.6 * 0.9 * 0.5))


@pytest.mark.parametrize("frames", ["", "-", "-----", "   ", "-- --  -"])
def test_silence_and_spaces_give_empty_text(frames: str) -> None:
    transcript = greedy_decode(posteriors(frames), ALPHABET)
    assert transcript.text == ""
    assert transcript.words == ()


def test_text_equals_collapsing_by_hand() -> None:
    rng = np.random.default_rng(3)
    scores = np.log(rng.dirichlet(np.ones(29), size=400)).astype(np.float32)
    collapsed = [number for number, _ in itertools.groupby(scores.argmax(axis=1))]
    letters = "".join(ALPHABET.symbols[n] for n in collapsed if n != ALPHABET.blank)
    assert greedy_decode(scores, ALPHABET).text == " ".join(letters.split())


def test_of_equal_classes_the_first_counts() -> None:
    assert greedy_decode(np.zeros((3, 4), np.float32), Alphabet(tuple("abc"))).text == "a"


def test_a_sure_word_has_no_confidence_above_one() -> None:
    """The logarithm of a float32 softmax may exceed 0; one of 1000 is no overflow either."""
    scores = np.full((2, 29), -1e3, np.float32)
    scores[:, 1] = [1e-7, 1e3]
    assert [word.confidence for word in greedy_decode(scores, ALPHABET).words] == [1.0]


def test_other_real_types_and_layouts_give_the_same() -> None:
    scores = np.asfortranarray(posteriors("-ab c-").astype(np.float64))
    expected = greedy_decode(np.ascontiguousarray(scores), ALPHABET)
    assert greedy_decode(scores, ALPHABET) == expected
    assert greedy_decode(np.repeat(scores, 2, axis=1)[:, ::2], ALPHABET) == expected


@pytest.mark.parametrize(
    ("scores", "named"),
    [
        (np.zeros((5, 30), np.float32), r"shape \(5, 30\), expected \[frames, 29\]"),
        (np.zeros(29, np.float32), r"shape \(29,\), expected \[frames, 29\]"),
        (np.zeros((5, 29), np.complex64), "dtype complex64, expected float32"),
        (np.full((5, 29), "0"), "dtype <U1, expected float32"),
        (np.full((5, 29), np.nan), "frame 0, class 0 is nan"),
        (np.where(np.eye(29)[:2], np.inf, 0.0), "frame 0, class 0 is inf"),
    ],
)
def test_bad_log_probabilities_are_refused(scores: np.ndarray, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        greedy_decode(scores, ALPHABET)
