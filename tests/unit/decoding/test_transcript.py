"""Grouping of aligned characters into words."""

import math

import pytest

from sparsespeech.decoding.transcript import CharacterSpan, Word, transcript_from_spans


def test_words_times_and_confidence() -> None:
    spans = [
        CharacterSpan("h", 3, 5, math.log(0.5)),
        CharacterSpan("i", 7, 8, math.log(0.8)),
        CharacterSpan(" ", 9, 12, math.log(0.1)),
        CharacterSpan("a", 20, 21, math.log(0.9)),
    ]
    transcript = transcript_from_spans(spans, 0.02, -1.5)
    assert transcript.text == "hi a"
    assert transcript.score == -1.5
    hi, a = transcript.words
    assert (hi.word, hi.start, hi.end) == ("hi", pytest.approx(0.06), pytest.approx(0.16))
    assert hi.confidence == pytest.approx(0.4)  # the space counts for neither word
    assert a == Word("a", pytest.approx(0.4), pytest.approx(0.42), pytest.approx(0.9))


def test_spaces_at_the_edges_and_doubled_spaces_make_no_words() -> None:
    spans = [CharacterSpan(c, n, n + 1, 0.0) for n, c in enumerate(" a  b ")]
    assert transcript_from_spans(spans, 1.0, 0.0).text == "a b"


def test_confidence_of_a_rounded_softmax_stays_at_most_one() -> None:
    transcript = transcript_from_spans([CharacterSpan("a", 0, 1, 1e-7)], 0.02, 0.0)
    assert transcript.words[0].confidence == 1.0
