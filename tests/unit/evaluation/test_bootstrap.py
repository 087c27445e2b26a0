"""Bootstrap intervals: exact in degenerate cases, right on average otherwise."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.errors import ManifestError
from sparsespeech.evaluation.bootstrap import (
    check_speakers,
    mean_paired_difference,
    paired_difference,
    rate_interval,
)


def test_equal_utterances_have_no_spread() -> None:
    assert rate_interval([1] * 50, [4] * 50) == (25.0, 25.0)
    assert rate_interval([0] * 50, [4] * 50) == (0.0, 0.0)


def test_interval_equals_the_normal_approximation_for_many_utterances() -> None:
    rng = np.random.default_rng(0)
    errors = rng.binomial(10, 0.2, size=500)
    low, high = rate_interval(errors.tolist(), [10] * 500)
    mean = 100 * errors.sum() / 5000
    half = 1.96 * 100 * errors.std() / 10 / np.sqrt(500)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1)
    narrow = rate_interval(errors.tolist(), [10] * 500, confidence=0.5)
    assert narrow == pytest.approx((mean - 0.344 * half, mean + 0.344 * half), abs=0.1)


def test_interval_covers_the_true_rate_about_as_often_as_stated() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        lengths = rng.integers(3, 20, size=100)
        errors = rng.binomial(lengths, 0.15)
        low, high = rate_interval(errors.tolist(), lengths.tolist(), samples=400)
        covered += low <= 15.0 <= high
    assert 178 <= covered <= 199  # 95 % of 200 is 190; deviation 3


def test_speakers_that_differ_widen_the_interval() -> None:
    speakers = [f"speaker{number // 20}" for number in range(200)]
    errors = [(number // 20) % 2 * 3 for number in range(200)]
    by_utterance = rate_interval(errors, [10] * 200)
    by_speaker = rate_interval(errors, [10] * 200, speakers=speakers)
    assert by_speaker[1] - by_speaker[0] > 3 * (by_utterance[1] - by_utterance[0])


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        (["", ""], "name no speaker, "),
        (["anna", "anna", "anna"], "name one speaker only, 'anna', "),
    ],
)
def test_fewer_than_two_speakers_are_refused(speakers: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=f"^m.jsonl: .* {message}.*two at least"):
        check_speakers(speakers, Path("m.jsonl"))


def test_two_speakers_are_enough() -> None:
    check_speakers(["anna", "bert", "anna"], Path("m.jsonl"))


def test_utterances_of_unknown_speakers_are_not_drawn_as_one_speaker() -> None:
    with pytest.raises(
        ManifestError, match=r"^m.jsonl: 2 of its 4 utterances name no speaker.*name the speaker in"
    ):
        check_speakers(["anna", "", "bert", ""], Path("m.jsonl"))


def test_intervals_are_reproducible_and_seeded() -> None:
    errors, lengths = [0, 1, 2, 3, 5], [4, 5, 6, 7, 8]
    first = rate_interval(errors, lengths, seed=3)
    assert rate_interval(errors, lengths, seed=3) == first
    assert rate_interval(errors, lengths, seed=4, samples=50) != first


def test_paired_difference_cancels_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(2)
    hard = rng.binomial(20, rng.uniform(0, 1, 300))
    other = np.maximum(hard - 1, 0)
    difference, low, high = paired_difference(hard.tolist(), other.tolist(), [20] * 300)
    assert difference == pytest.approx(100 * (hard - other).sum() / 6000)
    assert low <= difference <= high
    assert high - low < 0.5
    alone = rate_interval(hard.tolist(), [20] * 300)
    assert alone[1] - alone[0] > 5


def test_difference_changes_sign_with_the_order() -> None:
    ours, theirs, lengths = [1, 2, 3], [2, 2, 5], [10, 10, 10]
    difference, low, high = paired_difference(ours, theirs, lengths)
    assert paired_difference(theirs, ours, lengths) == pytest.approx((-difference, -high, -low))


def test_no_utterances_and_no_words() -> None:
    assert rate_interval([], []) == (0.0, 0.0)
    assert rate_interval([2], [0]) == (200.0, 200.0)


def test_a_large_set_is_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, lengths = list(range(30)), [40] * 30
    whole = rate_interval(errors, lengths, samples=500)
    monkeypatch.setattr("sparsespeech.evaluation.bootstrap._BLOCK", 100)
    assert rate_interval(errors, lengths, samples=500) == pytest.approx(whole)


def test_mean_over_seeds_against_every_draw() -> None:
    # Two seeds and two utterances: all 4 draws of seeds times 4 draws of utterances, by hand.
    errors, other, lengths = [[4, 1], [9, 2]], [[1, 1], [2, 0]], [10, 30]
    means = []
    for seeds in itertools.product(range(2), repeat=2):
        for drawn in itertools.product(range(2), repeat=2):
            words = sum(lengths[u] for u in drawn)
            rates = [100 * sum(errors[s][u] - other[s][u] for u in drawn) / words for s in seeds]
            means.append(np.mean(rates))
    for confidence in (0.56, 0.8, 0.95):  # tails away from the steps of 16 outcomes
        tail = 50 * (1 - confidence)
        expected = np.percentile(means, [tail, 100 - tail], method="inverted_cdf")
        mean, low, high = mean_paired_difference(errors, other, lengths, confidence=confidence)
        assert (low, high) == pytest.approx(tuple(expected))
    assert mean == pytest.approx(100 * (3 + 0 + 7 + 2) / 2 / 40)


def test_one_seed_is_the_paired_difference() -> None:
    errors, other, lengths = [3, 0, 2, 5, 1], [1, 1, 2, 2, 0], [4, 5, 6, 7, 8]
    speakers = ["a", "a", "b", "b", "c"]
    assert mean_paired_difference(
        [errors], [other], lengths, speakers=speakers
    ) == paired_difference(errors, other, lengths, speakers=speakers)


def test_seeds_that_differ_widen_the_interval() -> None:
    lengths = [10] * 100
    alike = mean_paired_difference([[1] * 100] * 5, [[0] * 100] * 5, lengths)
    apart = mean_paired_difference([[n] * 100 for n in (0, 0, 1, 2, 2)], [[0] * 100] * 5, lengths)
    assert alike == (10.0, 10.0, 10.0)
    # The mean of five draws from {0, 0, 10, 20, 20}: deviation 8.94 / sqrt(5) = 4.
    assert apart[0] == pytest.approx(10.0)
    assert apart[1:] == pytest.approx((10 - 1.96 * 4, 10 + 1.96 * 4), abs=2.0)
