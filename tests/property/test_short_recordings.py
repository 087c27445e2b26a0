"""Recordings of 0 to 1000 samples give short texts or none, finite numbers and no error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.recogniser import Recogniser
from tests.random_models import random_integer_model

KINDS = ("zeros", "largest", "random", "square")


@pytest.fixture(scope="module", params=[True, False], ids=["bidirectional", "unidirectional"])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    rng = np.random.default_rng(11)
    return Recogniser(random_integer_model(rng, hidden=8, bidirectional=request.param))


def samples_of(kind: str, count: int) -> NDArray[np.float32]:
    samples = {
        "zeros": np.zeros(count),
        "largest": np.ones(count),
        "random": np.random.default_rng(count).uniform(-1, 1, count),
        "square": np.where(np.arange(count) % 80 < 40, 1.0, -1.0),
    }[kind]
    return samples.astype(np.float32)


def check(recogniser: Recogniser, kind: str, count: int) -> None:
    samples = samples_of(kind, count)
    log_probabilities = recogniser.log_probabilities(samples)
    assert len(log_probabilities) == (1 + -(-max(0, count - 400) // 320) if count else 0)
    assert np.isfinite(log_probabilities).all()
    result = recogniser.transcribe(samples)
    assert len(result.text) <= len(log_probabilities)
    assert all(0 <= word.start < word.end <= count / 16_000 for word in result.words)
    if kind in ("zeros", "largest"):
        assert result.text == ""


@given(count=st.integers(0, 1000), kind=st.sampled_from(KINDS))
def test_any_short_recording(recogniser: Recogniser, count: int, kind: str) -> None:
    check(recogniser, kind, count)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_short_recording(recogniser: Recogniser, kind: str) -> None:
    for count in range(1001):
        check(recogniser, kind, count)
