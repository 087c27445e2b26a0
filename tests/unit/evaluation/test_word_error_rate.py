"""Error counts on examples by hand, and against an edit distance of our own."""

import random

import pytest

from sparsespeech.evaluation.word_error_rate import (
    alignment,
    character_error_rate,
    count_errors,
    word_error_rate,
)


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(hypothesis, start=1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != found)),
            )
    return row[-1]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("a b c", "a b c", (3, 0, 0, 0)),
        ("a b c", "a x c d", (3, 1, 0, 1)),
        ("a b c", "a c", (3, 0, 1, 0)),
        ("a b c", "", (3, 0, 3, 0)),
        ("", "", (0, 0, 0, 0)),
        ("", "a b", (0, 0, 0, 2)),
        ("It’s  FINE", "it's fine", (2, 0, 0, 0)),
    ],
)
def test_counts(reference: str, hypothesis: str, counts: tuple[int, int, int, int]) -> None:
    errors = count_errors(reference, hypothesis)
    assert (errors.words, errors.substitutions, errors.deletions, errors.insertions) == counts
    assert errors.word_errors == sum(counts[1:])


def test_random_pairs_have_the_minimum_edit_distance() -> None:
    rng = random.Random(0)
    for _ in range(200):
        reference, hypothesis = (
            [rng.choice(["aa", "b", "ca", "d"]) for _ in range(rng.randint(0, 8))] for _ in "12"
        )
        errors = count_errors(" ".join(reference), " ".join(hypothesis))
        assert errors.word_errors == edit_distance(reference, hypothesis)
        letters = list(" ".join(reference)), list(" ".join(hypothesis))
        assert errors.character_errors == edit_distance(*letters)
        assert errors.characters == len(letters[0])


def test_rates_are_errors_over_all_reference_words() -> None:
    utterances = [count_errors("a b c d", "a b c x"), count_errors("e", "f g")]
    assert word_error_rate(utterances) == pytest.approx(100 * 3 / 5)
    assert character_error_rate(utterances) == pytest.approx(100 * (1 + 3) / 8)


def test_rates_without_reference_words_stay_finite() -> None:
    assert word_error_rate([]) == 0.0
    assert word_error_rate([count_errors("", "")]) == 0.0
    assert word_error_rate([count_errors("", "a b")]) == 200.0


def test_alignment_marks_the_errors() -> None:
    lines = alignment(count_errors("a b c", "a x c d")).splitlines()
    assert [line.split() for line in lines] == [
        ["REF:", "a", "b", "c", "*"],
        ["HYP:", "a", "x", "c", "d"],
        ["S", "I"],
    ]
    assert lines[2].index("S") == lines[0].index("b") == lines[1].index("x")


def test_long_alignments_are_wrapped() -> None:
    errors = count_errors("word " * 40, "word " * 39 + "other")
    assert all(len(line) <= 60 for line in alignment(errors, 60).splitlines())
