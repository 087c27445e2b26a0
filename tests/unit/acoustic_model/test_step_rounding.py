"""Grids of fixed-point numbers."""

import pytest
import torch

from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding


def test_ties_are_rounded_up_negative_numbers_too() -> None:
    values = torch.tensor([0.25, 0.75, -0.25, -0.75, -0.26, 0.24])
    rounded = Grid(0.5, -8, 7).round_(values)
    assert rounded.tolist() == [0.5, 1.0, 0.0, -0.5, -0.5, 0.0]
    assert rounded.data_ptr() == values.data_ptr()


def test_both_ends_saturate() -> None:
    grid = Grid(0.5, -4, 3)
    assert grid.round_(torch.tensor([-9.0, 9.0])).tolist() == [-2.0, 1.5]
    assert grid.holds(torch.tensor([-2.26, -2.25, 1.74, 1.75])).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert grid.ends(torch.tensor([-2.0, -1.5, 1.0, 1.5])).tolist() == [True, False, False, True]


def test_integers_of_the_rules() -> None:
    rounding = StepRounding(hidden=1 / 127, cell=1 / 2048, gates=1 / 2048)
    assert rounding.hidden_grid == Grid(1 / 127, -128, 127)  # R8
    assert rounding.cell_grid == Grid(1 / 2048, -32768, 32767)  # R7
    assert rounding.gate_grid == Grid(1 / 2048, -32768, 32767)  # R5
    assert StepRounding(hidden=1 / 32768).hidden_grid == Grid(1 / 32768, -32768, 32767)  # R10
    assert StepRounding(cell=1 / 8).cell_grid == Grid(1 / 8, -128, 127)
    assert StepRounding().cell_grid is None


@pytest.mark.parametrize("step", [0.0, -1.0, 17.0, float("nan"), float("inf")])
def test_impossible_steps_are_refused(step: float) -> None:
    with pytest.raises(ValueError, match="step of rounding"):
        _ = StepRounding(cell=step).cell_grid


def test_the_grid_of_the_cell_is_that_of_the_integer_model() -> None:
    from sparsespeech.integer_arithmetic.fixed_point import saturate16

    cells = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    grid = StepRounding(cell=1 / 2048).cell_grid
    assert grid is not None
    wanted = saturate16((cells * 2048 + 0.5).floor().long().numpy())
    assert (grid.round_(cells) * 2048).long().tolist() == wanted.tolist()
