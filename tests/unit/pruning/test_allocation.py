"""Equal loss increase: against a grid search, and where limits and flat curves decide."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparsespeech.errors import SensitivityError
from sparsespeech.pruning.allocation import (
    Limits,
    LossCurve,
    allocate,
    largest_sparsity,
    resolve_limits,
    scan_noise,
    total_sparsity,
)

SPARSITIES = (0.5, 0.7, 0.9, 0.98)
FREE = Limits(0.0, 0.98)


def curve(name: str, parameters: int, *losses: float, present: float = 0.0) -> LossCurve:
    return LossCurve(name, parameters, tuple(zip(SPARSITIES, losses, strict=True)), present)


def free(*names: str) -> dict[str, Limits]:
    return dict.fromkeys(names, FREE)


def test_two_straight_lines_by_hand() -> None:
    # Losses 1 + s and 1 + 2 s: at equal increase the first is twice as sparse as the second.
    # 300 s + 100 s / 2 = 400 * 0.35 gives s = 0.4.
    curves = [
        curve("a", 300, 1.5, 1.7, 1.9, 1.98),
        curve("b", 100, 2.0, 2.4, 2.8, 2.96),
    ]
    found = allocate(curves, 1.0, 0.35, free("a", "b"))
    assert found.matrices == {"a": pytest.approx(0.4), "b": pytest.approx(0.2)}
    assert found.loss_increase == pytest.approx(0.4)
    assert found.total == pytest.approx(0.35)


def test_against_a_grid_of_thresholds() -> None:
    rng = random.Random(3)
    for _ in range(20):
        curves = [
            curve(f"m{n}", rng.randint(10, 1000), *sorted(rng.uniform(1, 9) for _ in SPARSITIES))
            for n in range(4)
        ]
        sizes = {c.name: c.parameters for c in curves}
        found = allocate(curves, 1.0, 0.8, free(*sizes))
        increases = {c.name: [(0.0, 0.0)] + [(s, v - 1.0) for s, v in c.points] for c in curves}
        for threshold in (found.loss_increase * 0.98, found.loss_increase * 1.02):
            grid = {}
            for name, points in increases.items():
                fine = [
                    left + share * (right - left)
                    for (left, low), (right, high) in itertools.pairwise(points)
                    for share in (k / 4000 for k in range(4001))
                    if low + share * (high - low) <= threshold
                ]
                grid[name] = max(fine)
            below = threshold < found.loss_increase
            assert (total_sparsity(grid, sizes) < 0.8 + 1e-4) == below


def test_a_falling_loss_does_not_make_a_matrix_free() -> None:
    # Noise: 0.9 measured below 0.7. The running maximum takes the worse of the two.
    assert curve("a", 1, 1.0, 1.3, 1.1, 2.0).increases(1.0) == [
        (0.0, 0.0), (0.0, 0.0), (0.5, 0.0), (0.7, pytest.approx(0.3)),
        (0.9, pytest.approx(0.3)), (0.98, pytest.approx(1.0)),
    ]  # fmt: skip


def test_what_is_no_more_than_chance_spares_no_matrix() -> None:
    # Losses fall by up to 0.02 by chance, so b's rise of 0.01 at 0.7 says nothing.
    curves = [
        curve("a", 100, 0.98, 1.0, 1.5, 2.0),
        curve("b", 100, 1.0, 1.01, 1.5, 2.0),
    ]
    assert scan_noise(curves, 1.0) == pytest.approx(0.02)
    assert scan_noise(curves, 0.9) == 0.0
    found = allocate(curves, 1.0, 0.6, free("a", "b"))
    assert found.matrices == {"a": pytest.approx(0.6), "b": pytest.approx(0.6)}
    assert found.loss_increase == pytest.approx(0.02)
    # Beyond it: both rise by 0.48 from 0.7 to 0.9, so at 0.8 by half of that, and the noise.
    found = allocate(curves, 1.0, 0.8, free("a", "b"))
    assert found.matrices == {"a": pytest.approx(0.8), "b": pytest.approx(0.8)}
    assert found.loss_increase == pytest.approx(0.02 + 0.24)


def test_zeros_that_are_there_cost_nothing() -> None:
    sparse = curve("a", 100, 1.0, 1.0, 1.4, 2.0, present=0.8)
    dense = curve("b", 100, 1.1, 1.5, 2.0, 3.0)
    found = allocate([sparse, dense], 1.0, 0.4, free("a", "b"))
    assert found.matrices == {"a": pytest.approx(0.8), "b": pytest.approx(0.0)}
    assert found.loss_increase == 0.0


def test_a_step_in_the_curve_is_met_in_between() -> None:
    # From 0.5 to 0.9 the loss does not change: any threshold jumps over the target 0.7.
    flat = curve("a", 100, 1.2, 1.2, 1.2, 2.0)
    found = allocate([flat], 1.0, 0.7, free("a"))
    assert found.matrices["a"] == pytest.approx(0.7)
    assert found.loss_increase == pytest.approx(0.2)


def test_limits_hold_and_the_others_make_up_for_them() -> None:
    curves = [curve("a", 100, *[1.0] * 4), curve("b", 300, 1.1, 1.2, 1.5, 2.0)]
    limits = {"a": Limits(0.0, 0.0), "b": FREE}
    found = allocate(curves, 1.0, 0.6, limits)
    assert found.matrices == {"a": 0.0, "b": pytest.approx(0.8)}
    limits = {"a": FREE, "b": Limits(0.7, 0.98)}
    assert allocate(curves, 1.0, 0.6, limits).matrices["b"] >= 0.7


@pytest.mark.parametrize(
    ("target", "limits", "message"),
    [
        (0.97, {"a": Limits(0.0, 0.85), "b": FREE}, "come to 0.9475 at most"),
        (0.2, {"a": Limits(0.5, 0.98), "b": FREE}, "below 0.25"),
    ],
)
def test_targets_out_of_reach(target: float, limits: dict[str, Limits], message: str) -> None:
    curves = [curve("a", 100, 1, 2, 3, 4), curve("b", 100, 1, 2, 3, 4), curve("c", 200, 1, 2, 3, 4)]
    with pytest.raises(SensitivityError, match=message):
        allocate(curves[:2] if target < 0.5 else curves, 1.0, target, {**free("c"), **limits})


def test_limits_by_regular_expression() -> None:
    names = ["layer1.weight", "layer4.directions.0.weight_hh", "layer6.weight"]
    exceptions = {"^layer1": Limits(0.0, 0.85), "layer": Limits(0.1, 0.9), "6": Limits(0.0, 0.0)}
    assert resolve_limits(names, FREE, exceptions) == dict(
        zip(names, [Limits(0.1, 0.9), Limits(0.1, 0.9), Limits(0.0, 0.0)], strict=True)
    )
    for expression in ("layer9", "("):
        with pytest.raises(SensitivityError, match="layer9|regular expression"):
            resolve_limits(names, FREE, {expression: FREE})


@given(
    losses=st.lists(st.lists(st.floats(0.5, 20), min_size=4, max_size=4), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 10**6), min_size=5, max_size=5),
    target=st.floats(0.0, 0.98),
)
@example(losses=[[1.0, 17.999999999999996, 1.0, 0.55411967161786]], sizes=[1] * 5, target=0.75)
def test_the_total_is_met_and_no_threshold_is_broken(
    losses: list[list[float]], sizes: list[int], target: float
) -> None:
    curves = [curve(f"m{n}", sizes[n], *values) for n, values in enumerate(losses)]
    found = allocate(curves, 1.0, target, free(*(c.name for c in curves)))
    assert found.total == pytest.approx(target, abs=1e-4)
    for one in curves:
        # Noise was taken off and added again: a flat curve would show the last bit as a jump.
        most = largest_sparsity(one.increases(1.0), found.loss_increase * (1 + 1e-12))
        assert found.matrices[one.name] <= most + 1e-4


def test_zeros_that_are_there_count_where_all_is_free() -> None:
    flat = [
        curve("a", 100, *[1.0] * 4, present=0.9),
        curve("b", 100, *[1.0] * 4, present=0.1),
    ]
    found = allocate(flat, 1.0, 0.6, free("a", "b"))
    # 0.1 is missing. Of what they bear beyond their zeros, 0.08 and 0.88, each gets the same share.
    share = 0.1 / 0.48
    assert found.matrices["a"] == pytest.approx(0.9 + 0.08 * share, abs=1e-4)
    assert found.matrices["b"] == pytest.approx(0.1 + 0.88 * share, abs=1e-4)
    assert found.total == pytest.approx(0.6, abs=1e-4)
    found = allocate(flat, 1.0, 0.3, free("a", "b"))
    assert (found.matrices, found.total) == ({"a": 0.9, "b": 0.1}, pytest.approx(0.5))


@given(
    matrices=st.lists(
        st.tuples(
            st.integers(1, 10**6),
            st.floats(0.0, 0.98),
            st.lists(st.sampled_from([1.0, 1.0, 1.1, 2.0, 0.9]), min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
    target=st.floats(0.0, 0.98),
)
def test_the_total_is_that_of_pruning_which_keeps_the_zeros(
    matrices: list[tuple[int, float, list[float]]], target: float
) -> None:
    curves = [
        curve(f"m{n}", size, *losses, present=present)
        for n, (size, present, losses) in enumerate(matrices)
    ]
    sizes = {one.name: one.parameters for one in curves}
    found = allocate(curves, 1.0, target, free(*sizes))
    present = {one.name: one.present for one in curves}
    kept = {name: max(found.matrices[name], present[name]) for name in sizes}
    assert found.total == pytest.approx(total_sparsity(kept, sizes), abs=1e-4)
    wanted = max(target, total_sparsity(present, sizes))
    assert found.total == pytest.approx(wanted, abs=1e-4)
