"""What a bad step does to a run, and what a resumed run remembers of it."""

from statistics import median

import numpy as np
import pytest

from sparsespeech.errors import TrainingError
from sparsespeech.training.policy import NORMS_NEEDED, REMEMBERED_NORMS, StepPolicy
from sparsespeech.training.recipe import Policy


def test_skips_in_a_row_end_the_run_and_a_good_step_forgives() -> None:
    policy = StepPolicy(Policy(stop_after_skipped=3))
    for _ in range(2):
        incident = policy.skip(4, "loss", ["a.wav"])
        assert incident.record == {"skipped": ["a.wav"], "not_finite": "loss"}
        assert incident.sentence == "skipped, loss not finite: a.wav"
    assert policy.explosion(1.0) is None
    assert policy.skipped_in_a_row == 0
    policy.skip(5, "gradient", ["a.wav"])
    policy.skip(6, "loss", ["b.wav"])
    with pytest.raises(TrainingError, match=r"step 7: .*diverged, 3 skipped .*loss .* b\.wav; re"):
        policy.skip(7, "loss", ["b.wav"])


def test_without_skipping_the_first_one_ends_the_run() -> None:
    with pytest.raises(TrainingError, match="step 0"):
        StepPolicy(Policy(skip_non_finite=False)).skip(0, "loss", [])


def test_many_names_are_counted_in_words_and_listed_in_the_log() -> None:
    names = [f"{number}.wav" for number in range(8)]
    incident = StepPolicy(Policy()).skip(0, "loss", names)
    assert incident.record["skipped"] == names
    assert incident.sentence.endswith("0.wav, 1.wav, 2.wav, 3.wav, 4.wav and 3 more")


def test_an_explosion_is_measured_against_the_median() -> None:
    policy = StepPolicy(Policy(explosion_factor=5.0))
    norms = list(np.random.default_rng(0).uniform(1, 3, REMEMBERED_NORMS + 30))
    for count, norm in enumerate(norms):
        # Too few norms say nothing, however large one is.
        if count == NORMS_NEEDED - 1:
            assert policy.explosion(1e6) is None
            norms[count] = 1e6
        else:
            assert policy.explosion(norm) is None
    usual = median(norms[-REMEMBERED_NORMS:])
    assert policy.explosion(4.9 * usual) is None
    usual = median([*norms, 4.9 * usual][-REMEMBERED_NORMS:])
    assert policy.explosion(5.1 * usual) == usual


def test_a_resumed_policy_decides_alike() -> None:
    policy = StepPolicy(Policy(stop_after_skipped=2))
    for norm in range(1, 130):
        policy.explosion(float(norm))
    policy.skip(3, "loss", [])
    resumed = StepPolicy(Policy(stop_after_skipped=2))
    resumed.load(policy.tensors())
    with pytest.raises(TrainingError):
        resumed.skip(4, "loss", [])
    assert resumed.explosion(1e6) == policy.explosion(1e6) == median(range(30, 130))
