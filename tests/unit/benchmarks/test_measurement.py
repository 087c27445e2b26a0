"""Turns come in the stated order, statistics are those of numpy, every output is looked at."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.benchmarks.measurement import (
    LocalContender,
    Timing,
    quantile,
    ratio_row,
    take_turns,
    time_call,
)


class _Recorded:
    """A contender whose runs all take ``seconds`` by its own account."""

    def __init__(self, name: str, seconds: float, log: list[str]) -> None:
        self.name = name
        self._seconds = seconds
        self._log = log

    def time_runs(self, count: int) -> list[float]:
        self._log.append(self.name)
        return [self._seconds] * count


def test_ours_runs_before_every_peer() -> None:
    log: list[str] = []
    ours, one, two = (_Recorded(name, 1.0, log) for name in ("ours", "one", "two"))
    timings = take_turns(ours, [one, two], rounds=2)
    assert log[:3] == ["ours", "one", "two"]  # how many runs a turn has
    assert log[3:] == ["ours", "one", "ours", "two"] * 2
    assert [len(timings[name].turns) for name in ("ours", "one", "two")] == [4, 2, 2]


def test_a_turn_is_as_long_as_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsespeech.benchmarks.measurement.TURN_SECONDS", 1.0)
    log: list[str] = []
    fast, slow = _Recorded("fast", 0.1, log), _Recorded("slow", 30.0, log)
    timings = take_turns(fast, [slow], rounds=1)
    assert [len(timings[name].turns[0]) for name in ("fast", "slow")] == [10, 2]


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        take_turns(_Recorded("ours", 1.0, []), [], rounds=0)


def test_a_ratio_is_of_medians_and_its_spread_of_turns() -> None:
    ours = Timing("ours", ((1.0, 2.0), (2.0, 9.0)))
    peer = Timing("peer", ((6.0, 8.0), (8.0, 20.0)))
    assert ratio_row(peer, ours) == {"ratio": 4.0, "ratio_low": 3.5, "ratio_high": 7.0}
    assert peer.to_row() == {
        "name": "peer",
        "median_ms": 8000.0,
        "min_ms": 6000.0,
        "p10_ms": 6000.0,
        "p90_ms": 20000.0,
        "runs": 4,
    }


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=300),
    st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 0.99, 1.0]),
)
def test_a_quantile_is_the_inverse_of_the_distribution(values: list[float], share: float) -> None:
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


def test_every_output_is_checked_and_the_first_run_does_not_count() -> None:
    outputs = iter(range(100))
    seen: list[int] = []
    contender = LocalContender("ours", lambda: next(outputs), seen.append)
    assert len(contender.time_runs(5)) == 5
    assert seen == [0, 1, 2, 3, 4, 5]


def test_runs_are_undisturbed_by_garbage_collection() -> None:
    states: list[bool] = []
    contender = LocalContender("ours", lambda: states.append(gc.isenabled()))
    contender.time_runs(3)
    assert states == [True, False, False, False]
    assert gc.isenabled()


def test_a_single_call_is_timed_with_its_check() -> None:
    with pytest.raises(RuntimeError, match="wrong"):
        time_call("call", lambda: 1, rounds=1, check=_refuse)


def _refuse(output: int) -> None:
    raise RuntimeError("wrong")
