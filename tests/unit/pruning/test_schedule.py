"""Schedules at known points, when masks change, functions of the user."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.masks import build_schedule
from sparsespeech.pruning.schedule import NarangRamp, PowerRamp, UserRamp, import_function
from sparsespeech.pruning.settings import Pruning

CUBIC = PowerRamp(start=100, end=500, interval=40)


def test_cubic_ramp_at_known_points() -> None:
    assert CUBIC.sparsity(99, 0, 0.9) == 0.0
    assert CUBIC.sparsity(100, 0, 0.9) == 0.0
    assert CUBIC.sparsity(300, 0, 0.9) == pytest.approx(0.9 * (1 - 0.5**3))
    assert CUBIC.sparsity(500, 0, 0.9) == 0.9
    assert CUBIC.sparsity(10_000, 0, 0.9) == 0.9


def test_initial_jump_and_linear_ramp() -> None:
    jump = PowerRamp(start=0, end=10, interval=1, initial=0.5)
    assert jump.sparsity(0, 0, 0.8) == pytest.approx(0.5)
    assert jump.sparsity(0, 0, 0.3) == pytest.approx(0.3)  # a milder matrix never overshoots
    linear = PowerRamp(start=0, end=10, interval=1, power=1)
    assert linear.sparsity(5, 0, 0.8) == pytest.approx(0.4)


def test_one_shot_is_a_ramp_without_length() -> None:
    once = PowerRamp(start=7, end=7, interval=1)
    assert [step for step in range(50) if once.updates_masks(step, 0)] == [7]
    assert once.sparsity(6, 0, 0.9) == 0.0
    assert once.sparsity(7, 0, 0.9) == 0.9


@given(step=st.integers(0, 700))
def test_the_ramp_never_falls(step: int) -> None:
    assert CUBIC.sparsity(step, 0, 0.9) <= CUBIC.sparsity(step + 1, 0, 0.9)


def test_masks_change_every_interval_and_at_the_end() -> None:
    steps = [step for step in range(1000) if CUBIC.updates_masks(step, 0)]
    assert steps == list(range(100, 501, 40))
    odd = PowerRamp(start=0, end=25, interval=10)
    assert [step for step in range(99) if odd.updates_masks(step, 0)] == [0, 10, 20, 25]
    longer = PowerRamp(start=0, end=25, interval=10, until=38)
    assert [s for s in range(99) if longer.updates_masks(s, 0)] == [0, 10, 20, 25, 30, 38]


def test_narang_threshold_is_that_of_the_paper() -> None:
    start, ramp, end, steepening = 20, 60, 100, 1.5
    schedule = NarangRamp(start, end, 1, steepens_at=0.5, steepening=steepening)
    # Equation 1 of the paper without the rounding to whole intervals (frequency 1):
    # theta = 2 q / (2 (ramp - start) + 3 (end - ramp)), phi = 1.5 theta, q = 1.
    theta = 2 / (2 * (ramp - start) + 3 * (end - ramp))
    for step in range(start, end + 1):
        wanted = theta * (min(step, ramp) - start) + steepening * theta * max(0, step - ramp)
        assert schedule.threshold(step) == pytest.approx(wanted, abs=1e-12)
    assert schedule.threshold(end) == schedule.threshold(end + 50) == 1.0


def test_user_functions_see_epoch_and_step_and_scale_with_the_goal() -> None:
    seen = []

    def course(epoch: int, step: int) -> float:
        seen.append((epoch, step))
        return min(0.8, 0.1 * epoch + 0.01 * step)

    ramp = UserRamp(0, 50, 1, function=course, name="mine:course", final=0.8)
    assert ramp.sparsity(step=20, epoch=3, goal=0.8) == pytest.approx(0.5)
    assert ramp.sparsity(step=20, epoch=3, goal=0.4) == pytest.approx(0.25)
    assert seen == [(3, 20), (3, 20)]


@pytest.mark.parametrize("value", [-0.1, 0.81, float("nan")])
def test_impossible_values_of_user_functions_are_named(value: float) -> None:
    ramp = UserRamp(0, 50, 1, function=lambda epoch, step: value, name="mine:course", final=0.8)
    with pytest.raises(RecipeError, match=r"mine:course\(1, 2\) returned"):
        ramp.sparsity(2, 1, 0.8)


def test_a_user_function_that_fails_is_named() -> None:
    ramp = UserRamp(0, 10, 1, -1, lambda epoch, step: 1 / epoch, "mine:ramp", 0.9)
    with pytest.raises(RecipeError, match=r"mine:ramp\(0, 3\) failed: ZeroDivisionError"):
        ramp.sparsity(3, 0, 0.9)


def test_functions_are_imported_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_courses.py").write_text("CONSTANT = 3\ndef half(epoch, step): return 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_function("my_courses:half")(1, 2) == 0.5
    for wrong in ("my_courses", "my_courses:", ":half", "no_such_module:half", "my_courses:none"):
        with pytest.raises(RecipeError, match=r"pruning\.function"):
            import_function(wrong)
    with pytest.raises(RecipeError, match="no function but 3"):
        import_function("my_courses:CONSTANT")


@pytest.mark.parametrize(
    ("content", "message"),
    [("def half(:\n", "SyntaxError: "), ("HALF = 1 / 0\n", "ZeroDivisionError: division by zero")],
)
def test_a_module_that_fails_when_it_is_imported_is_named(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_broken_courses.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match=f"cannot import 'my_broken_courses:half': {message}"):
        import_function("my_broken_courses:half")


@given(start=st.integers(0, 500), length=st.integers(1, 2000), updates=st.integers(1, 100))
def test_masks_change_as_often_as_the_recipe_says_and_at_most_twice(
    start: int, length: int, updates: int
) -> None:
    steps = 3000
    settings = Pruning(
        final_sparsity=0.9, start=start / steps, end=(start + length) / steps, updates=updates
    )
    schedule = build_schedule(settings, steps, steps_per_epoch=1)
    found = sum(schedule.updates_masks(step, 0) for step in range(steps))
    if length < updates:
        assert found == length + 1  # at every step
    else:
        assert updates <= found <= 2 * updates
