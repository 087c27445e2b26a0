"""Counting by sorting against counting with dictionaries."""

from collections import Counter

import pytest

from sparsespeech.decoding.ngram_counting import count_ngrams, encode_sentences
from sparsespeech.errors import LanguageModelError
from tests.random_sentences import random_sentences


@pytest.mark.parametrize("order", [1, 2, 4])
def test_counts_contexts_and_suffixes(order: int) -> None:
    sentences = [*random_sentences(0, 100), ["a"], ["a", "a", "a"]]
    vocabulary, tokens = encode_sentences(sentences)
    counted = count_ngrams(tokens, len(vocabulary), order)
    for length, current in enumerate(counted, start=1):
        expected = Counter(
            tuple(framed[first : first + length])
            for framed in (["<s>", *sentence, "</s>"] for sentence in sentences)
            for first in range(len(framed) - length + 1)
        )
        found = [tuple(vocabulary[word] for word in row) for row in current.words.tolist()]
        assert len(set(found)) == len(found)
        counts = dict(zip(found, current.count.tolist(), strict=True))
        assert {words: count for words, count in counts.items() if count} == expected
        if length > 1:
            lower = counted[length - 2].words
            assert (lower[current.context] == current.words[:, :-1]).all()
            assert (lower[current.suffix] == current.words[:, 1:]).all()


def test_vocabulary_is_sorted_by_frequency_and_limited() -> None:
    sentences = [["b", "a", "c"], ["a", "b"], ["a", "d"], []]
    vocabulary, tokens = encode_sentences(sentences)
    assert vocabulary == ["<unk>", "<s>", "</s>", "a", "b", "c", "d"]
    limited, tokens = encode_sentences(sentences, vocabulary_size=2)
    assert limited == ["<unk>", "<s>", "</s>", "a", "b"]
    text = " ".join(limited[token] for token in tokens)
    assert text == "<s> b a <unk> </s> <s> a b </s> <s> a <unk> </s>"


@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_no_words_are_refused(sentences: list[list[str]]) -> None:
    with pytest.raises(LanguageModelError, match="no words"):
        encode_sentences(sentences)


@pytest.mark.parametrize("marker", ["<s>", "</s>"])
def test_sentence_markers_as_words_are_refused(marker: str) -> None:
    with pytest.raises(LanguageModelError, match="added automatically"):
        encode_sentences([["a", marker, "b"]])


def test_unk_in_the_text_is_the_unknown_word() -> None:
    vocabulary, tokens = encode_sentences([["a", "<unk>"]])
    assert vocabulary == ["<unk>", "<s>", "</s>", "a"]
    assert tokens.tolist() == [1, 3, 0, 2]
