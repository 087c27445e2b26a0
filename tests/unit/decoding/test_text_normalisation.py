"""Normalising running text; expectations written by hand."""

import pytest

from sparsespeech.decoding.text_normalisation import (
    normalised_lines,
    sentences,
    spell_cardinal,
    words_of_sentence,
)


def joined(text: str) -> list[str]:
    return [" ".join(words) for words in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! How are you?", ["hello world", "how are you"]),
        ("No end of sentence", ["no end of sentence"]),
        ("“Don’t!” she said—quietly.", ["don't", "she said quietly"]),
        ("'Go,' he said. 'I won't.'", ["go he said", "i won't"]),
        ("'Tis an owl's nest, give 'em an egg.", ["'tis an owl's nest give 'em an egg"]),
        ("the boys' dog", ["the boys dog"]),
        ("Mr. and Mrs. Bell, of St. Ives.", ["mister and missus bell of saint ives"]),
        ("A café, naïve Æsop & co", ["a cafe naive aesop and co"]),
        ("well-known _emphasis_ ...", ["well known emphasis"]),
        ("first\n\nsecond", ["first", "second"]),
        ("over a\nline", ["over a line"]),
        ("", []),
        ("... !? --", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert joined(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 men", "three men"),
        ("In 1914 and 1805", "in nineteen fourteen and eighteen oh five"),
        ("of 1900 or 2001", "of nineteen hundred or two thousand and one"),
        ("12,345 men", "twelve thousand three hundred and forty five men"),
        ("the 21st, 3rd and 40th", "the twenty first third and fortieth"),
        ("12th of May 1066", "twelfth of may one thousand and sixty six"),
    ],
)
def test_numbers_are_spelled(text: str, expected: str) -> None:
    assert " ".join(words_of_sentence(text) or []) == expected


@pytest.mark.parametrize(
    "text",
    ["3.5 miles", "it cost £5", "$20", "50 %", "1/2 a pound", "agent 007", "B52", "2½ men",
     "x2", "9:30", "1,2,3", "λόγος means word", "слово"],
)  # fmt: skip
def test_sentences_with_an_uncertain_reading_are_dropped(text: str) -> None:
    assert words_of_sentence(text) is None
    assert joined(f"Before. {text}! After.") == ["before", "after"]


def test_the_rest_of_a_paragraph_survives_a_dropped_sentence() -> None:
    assert joined("One is here. It cost $5. Two is there.") == ["one is here", "two is there"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (999, "nine hundred and ninety nine"),
        (1000, "one thousand"),
        (1001, "one thousand and one"),
        (1100, "one thousand one hundred"),
        (999_999, "nine hundred and ninety nine thousand nine hundred and ninety nine"),
    ],
)
def test_cardinals(value: int, words: str) -> None:
    assert spell_cardinal(value) == words


def test_result_is_a_fixed_point_and_writable() -> None:
    text = "“'Twas the night,” Mr. O’Brien’s 2nd cousin said; 'and all 12 'em slept!'"
    once = joined(text)
    assert once
    assert joined(". ".join(once)) == once
    assert set("".join(once)) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_lines() -> None:
    assert list(normalised_lines(["A b. C!\n", "\n", "d\n"])) == [["a", "b"], ["c"], ["d"]]
