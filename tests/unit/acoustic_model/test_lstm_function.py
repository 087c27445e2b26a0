"""The differentiable LSTM against torch.nn.LSTM, a plain loop and finite differences."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.lstm_function import saturating_lstm
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from tests.plain_lstm import Parameters, Steps, plain_lstm

Q11 = 1 / 2048
PROJECTED = Grid(1 / 50, -100, 155)  # a zero point that is not in the middle


def random_parameters(
    inputs: int,
    cells: int,
    directions: int,
    *,
    projection: int | None = None,
    peephole: bool = False,
    dtype: torch.dtype = torch.float64,
    spread: float = 0.6,
) -> list[Parameters]:
    outputs = projection or cells
    shapes = {
        "weight_ih": (4 * cells, inputs),
        "weight_hh": (4 * cells, outputs),
        "bias_ih": (4 * cells,),
        "bias_hh": (4 * cells,),
    }
    if projection:
        shapes["weight_projection"] = (projection, cells)
    if peephole:
        shapes["peephole"] = (3, cells)
    return [
        {
            name: (spread * torch.randn(shape, dtype=dtype)).requires_grad_()
            for name, shape in shapes.items()
        }
        for _ in range(directions)
    ]


def ours(
    x: Tensor, lengths: list[int], directions: list[Parameters], rounding: StepRounding | None
) -> Tensor:
    def stacked(name: str) -> Tensor | None:
        if name not in directions[0]:
            return None
        return torch.stack([each[name] for each in directions])

    weight_ih, weight_hh = stacked("weight_ih"), stacked("weight_hh")
    assert weight_ih is not None and weight_hh is not None
    return saturating_lstm(
        x,
        torch.tensor(lengths),
        weight_ih,
        weight_hh,
        torch.stack([each["bias_ih"] + each["bias_hh"] for each in directions]),
        projection=stacked("weight_projection"),
        peephole=stacked("peephole"),
        rounding=rounding,
    )


def tensors(directions: list[Parameters]) -> Iterator[Tensor]:
    for parameters in directions:
        yield from parameters.values()


def let_cells_grow(directions: list[Parameters], by: float) -> None:
    """Opens i and f of the 5 cells, with g mostly positive."""
    with torch.no_grad():
        for parameters in directions:
            parameters["bias_ih"][:15] += 5 * by


def assert_same(
    got: Tensor, expected: Tensor, x: Tensor, directions: list[Parameters], *, tolerance: float
) -> None:
    """Equal values, and equal gradients of a loss that weighs each output differently."""
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)
    weight = torch.randn_like(expected)
    wanted = [x, *tensors(directions)]
    ours_gradients = torch.autograd.grad((got * weight).sum(), wanted)
    for one, other in zip(
        ours_gradients, torch.autograd.grad((expected * weight).sum(), wanted), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("projection", [None, 3])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 1], [2, 7, 5]])
def test_equals_torch_lstm_in_float32(
    projection: int | None, count: int, lengths: list[int]
) -> None:
    torch.manual_seed(0)
    directions = random_parameters(6, 5, count, projection=projection, dtype=torch.float32)
    theirs = nn.LSTM(6, 5, bidirectional=count == 2, proj_size=projection or 0)
    names = {"weight_projection": "weight_hr"}
    # Views instead of parameters, so that both networks have the same leaves.
    replaced = {
        f"{names.get(name, name)}_l0{suffix}": value
        for parameters, suffix in zip(directions, ("", "_reverse"), strict=False)
        for name, value in parameters.items()
    }
    x = torch.randn(7, 3, 6, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    output, _ = torch.func.functional_call(theirs, replaced, (packed,))
    expected, _ = nn.utils.rnn.pad_packed_sequence(output, total_length=7)
    got = ours(x, lengths, directions, None)
    assert got.dtype == torch.float32
    assert_same(got, expected, x, directions, tolerance=2e-6)


VARIANTS = {
    "plain": ({}, StepRounding(), Steps()),
    "projection": ({"projection": 3}, StepRounding(), Steps()),
    "peephole": ({"peephole": True}, StepRounding(), Steps()),
    "both": ({"projection": 3, "peephole": True}, StepRounding(), Steps()),
    "rounded gates": ({}, StepRounding(gates=Q11), Steps(gates=Q11)),
    "rounded cell": ({}, StepRounding(cell=Q11), Steps(cell=Q11)),
    "coarse cell": ({"peephole": True}, StepRounding(cell=1 / 8), Steps(cell=1 / 8)),
    "rounded hidden": ({}, StepRounding(hidden=1 / 127), Steps(hidden=1 / 127)),
    "fixed point": (
        {"projection": 3, "peephole": True},
        StepRounding(1 / 127, Q11, Q11, PROJECTED),
        Steps(Q11, Q11, 1 / 127, (PROJECTED.step, PROJECTED.low, PROJECTED.high)),
    ),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("spread", [0.6, 6.0])  # 6: cells and gates saturate
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_plain_loop(variant: str, spread: float, count: int) -> None:
    options, rounding, steps = VARIANTS[variant]
    torch.manual_seed(1)
    directions = random_parameters(4, 5, count, spread=spread, **options)
    let_cells_grow(directions, spread)
    x = torch.randn(30, 3, 4, dtype=torch.float64, requires_grad=True)
    lengths = [30, 8, 19]
    expected = plain_lstm(x, lengths, directions, steps=steps)
    assert_same(ours(x, lengths, directions, rounding), expected, x, directions, tolerance=1e-6)


def test_the_plain_loop_saturates_in_these_tests() -> None:
    """Otherwise the comparison above would say nothing about saturation."""
    torch.manual_seed(1)
    directions = random_parameters(4, 5, 1, spread=6.0)
    let_cells_grow(directions, 6.0)
    x = torch.randn(30, 3, 4, dtype=torch.float64)
    output = ours(x, [30, 8, 19], directions, None)
    assert output.grad_fn is not None
    largest = max(
        float(tensor.detach().abs().max())
        for tensor in output.grad_fn.saved_tensors  # type: ignore[attr-defined]
        if tensor is not None and tensor.shape == (30, 1, 3, 5)
    )
    assert largest == 16.0


@pytest.mark.parametrize("options", [{}, {"projection": 2, "peephole": True}])
def test_gradients_agree_with_finite_differences(options: dict[str, int]) -> None:
    torch.manual_seed(2)
    directions = random_parameters(3, 3, 2, **options)
    names = list(directions[0])
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)

    def layer(x: Tensor, *flat: Tensor) -> Tensor:
        both = [dict(zip(names, flat[start:], strict=False)) for start in (0, len(names))]
        return ours(x, [5, 3], both, None)

    assert torch.autograd.gradcheck(layer, (x, *tensors(directions)))


def test_autocast_runs_products_in_bfloat16_and_stays_close() -> None:
    torch.manual_seed(3)
    directions = random_parameters(16, 8, 2, dtype=torch.float32, spread=0.3)
    x = torch.randn(12, 4, 16)
    exact = ours(x, [12, 7, 3, 1], directions, None)
    with torch.autocast("cpu", torch.bfloat16):
        rough = ours(x, [12, 7, 3, 1], directions, None)
    assert rough.dtype == torch.bfloat16
    difference = float((rough.float() - exact).detach().abs().max())
    assert 1e-5 < difference < 0.03


def test_rounded_values_are_exact_multiples_even_under_autocast() -> None:
    torch.manual_seed(4)
    directions = random_parameters(6, 5, 2, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output = ours(torch.randn(9, 2, 6), [9, 4], directions, StepRounding(hidden=1 / 127))
    assert output.dtype == torch.float32
    steps = output.detach() * 127
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    assert len(steps.round().unique()) > 20


def test_padding_never_enters() -> None:
    torch.manual_seed(5)
    directions = random_parameters(4, 3, 2, projection=2, peephole=True)
    x = torch.randn(9, 2, 4, dtype=torch.float64)
    alone = ours(x[:5, 1:], [5], directions, None)
    changed = x.clone()
    changed[5:, 1] = 1e3
    together = ours(changed, [9, 5], directions, None)
    torch.testing.assert_close(together[:5, 1:], alone, rtol=0, atol=1e-12)
    assert float(together[5:, 1].detach().abs().max()) == 0.0


def test_padding_gets_no_gradient() -> None:
    torch.manual_seed(6)
    directions = random_parameters(4, 3, 2, projection=2, peephole=True)
    x = torch.randn(9, 2, 4, dtype=torch.float64, requires_grad=True)
    ours(x, [9, 5], directions, None).sum().backward()
    assert x.grad is not None
    assert float(x.grad[5:, 1].abs().max()) == 0.0
    assert float(x.grad[:5, 1].abs().min()) > 0.0
