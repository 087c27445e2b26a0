"""Student's t against scipy's own test."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.benchmarks.paired_t import paired_t

POINTS = st.floats(-50, 50).map(lambda value: round(value, 3))


@given(st.lists(POINTS, min_size=2, max_size=8), st.sampled_from([0.8, 0.95]))
def test_it_is_scipys(differences: list[float], confidence: float) -> None:
    found = paired_t(differences, confidence)
    if len(set(differences)) == 1:
        assert found is None
        return
    expected = scipy.stats.ttest_1samp(differences, 0.0)
    interval = expected.confidence_interval(confidence)
    assert found is not None
    assert found.degrees == len(differences) - 1
    assert found.t == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-9)
    assert found.low == pytest.approx(interval.low, rel=1e-6, abs=1e-6)
    assert found.high == pytest.approx(interval.high, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("differences", [[], [1.0], [2.0, 2.0]])
def test_too_few_or_equal_differences_have_no_t(differences: list[float]) -> None:
    assert paired_t(differences) is None
