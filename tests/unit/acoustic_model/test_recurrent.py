"""Our LSTM against torch.nn.LSTM: values and gradients, lengths, saturation."""

import pytest
import torch
from torch import nn

from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.graph import CELL_LIMIT, Lstm
from tests.plain_lstm import Steps, plain_lstm

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def pair(
    inputs: int, cells: int, *, bidirectional: bool, seed: int = 0
) -> tuple[SaturatingLstm, nn.LSTM]:
    torch.manual_seed(seed)
    ours = SaturatingLstm(Lstm("lstm", inputs, cells, bidirectional))
    theirs = nn.LSTM(inputs, cells, bidirectional=bidirectional)
    for direction, suffix in enumerate(["", "_reverse"][: len(ours.directions)]):
        for name in NAMES:
            value = getattr(ours.directions[direction], name).data
            getattr(theirs, f"{name}_l0{suffix}").data.copy_(value)
    return ours, theirs


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 1], [2, 7, 5]])
def test_equals_torch_lstm(bidirectional: bool, lengths: list[int]) -> None:
    ours, theirs = pair(6, 5, bidirectional=bidirectional)
    x = torch.randn(7, 3, 6, requires_grad=True)
    x_theirs = x.detach().clone().requires_grad_()
    output = ours(x, torch.tensor(lengths))
    packed = nn.utils.rnn.pack_padded_sequence(
        x_theirs, torch.tensor(lengths), enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], total_length=7)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    weight = torch.randn_like(expected)
    (output * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, x_theirs.grad, rtol=1e-5, atol=2e-6)
    for direction, suffix in enumerate(["", "_reverse"][: len(ours.directions)]):
        for name in NAMES:
            got = getattr(ours.directions[direction], name).grad
            torch.testing.assert_close(
                got, getattr(theirs, f"{name}_l0{suffix}").grad, rtol=1e-5, atol=5e-6
            )


def test_gradients_agree_with_finite_differences_in_the_saturated_range() -> None:
    ours, _ = pair(3, 4, bidirectional=True, seed=1)
    with torch.no_grad():
        for direction in ours.directions:
            direction.bias_ih += 4.0  # gates wide open: the cell grows by almost one a step
    x = torch.randn(40, 1, 3)
    lengths = torch.tensor([40])
    weight = torch.randn(40, 1, 8)
    parameter = ours.directions[0].weight_ih

    def loss() -> float:
        with torch.no_grad():
            return float((ours(x, lengths).double() * weight).sum())

    (ours(x, lengths) * weight).sum().backward()
    step = 1e-2
    for index in [(0, 0), (5, 1), (9, 2), (13, 0)]:
        before = parameter.data[index].item()
        parameter.data[index] = before + step
        above = loss()
        parameter.data[index] = before - step
        below = loss()
        parameter.data[index] = before
        numeric = (above - below) / (2 * step)
        assert parameter.grad is not None
        assert parameter.grad[index].item() == pytest.approx(numeric, rel=0.05, abs=2e-3)


def test_the_cell_saturates() -> None:
    layer = SaturatingLstm(Lstm("lstm", 1, 1, bidirectional=False))
    cell = layer.directions[0]
    with torch.no_grad():
        for name in NAMES:
            getattr(cell, name).zero_()
        cell.bias_ih.copy_(torch.tensor([20.0, 20.0, 20.0, 20.0]))  # c grows by one a step
    steps = 200
    x = torch.zeros(steps, 1, 1)
    layer(x, torch.tensor([steps]))
    saved = layer(x, torch.tensor([steps])).grad_fn.saved_tensors
    largest = max(float(tensor.detach().abs().max()) for tensor in saved if tensor is not None)
    assert largest == CELL_LIMIT


def test_no_gradient_passes_a_saturated_cell() -> None:
    layer = SaturatingLstm(Lstm("lstm", 1, 1, bidirectional=False))
    cell = layer.directions[0]
    with torch.no_grad():
        for name in NAMES:
            getattr(cell, name).zero_()
        cell.bias_ih.copy_(torch.tensor([20.0, 20.0, 0.0, 0.0]))  # i and f open
        cell.weight_ih[2] = 1.0  # the cell moves by tanh(x) = 0.76 a step
    # Up for 30 steps (saturated from the 22nd on), then down for 20 to where tanh(c) has a slope.
    x = torch.cat((torch.ones(30), -torch.ones(20)))[:, None, None].requires_grad_()
    layer(x, torch.tensor([50]))[-1].sum().backward()
    assert x.grad is not None
    assert float(x.grad[:30].abs().max()) == 0.0
    assert float(x.grad[30:].abs().min()) > 1e-3


def test_padding_never_enters() -> None:
    ours, _ = pair(4, 3, bidirectional=True)
    x = torch.randn(9, 2, 4)
    lengths = torch.tensor([9, 5])
    alone = ours(x[:5, 1:], torch.tensor([5]))
    changed = x.clone()
    changed[5:, 1] = 1e3
    torch.testing.assert_close(ours(changed, lengths)[:5, 1:], alone, rtol=0, atol=1e-6)
    assert float(ours(changed, lengths)[5:, 1].detach().abs().max()) == 0.0


def test_names_and_shapes_of_a_layer_with_everything() -> None:
    layer = SaturatingLstm(Lstm("l", 4, 6, projection=3, peephole=True))
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert {name: shape for name, shape in shapes.items() if ".1." in name} == {
        "directions.1.weight_ih": (24, 4),
        "directions.1.weight_hh": (24, 3),
        "directions.1.bias_ih": (24,),
        "directions.1.bias_hh": (24,),
        "directions.1.weight_projection": (3, 6),
        "directions.1.peephole": (3, 6),
    }
    assert layer(torch.zeros(2, 1, 4), torch.tensor([2])).shape == (2, 1, 6)


def test_a_layer_with_everything_equals_the_plain_loop() -> None:
    torch.manual_seed(2)
    layer = SaturatingLstm(Lstm("l", 4, 6, projection=3, peephole=True)).double()
    directions = [dict(each.named_parameters()) for each in layer.directions]
    with torch.no_grad():
        for parameters in directions:
            parameters["peephole"].normal_()  # they begin at zero
            parameters["bias_hh"].normal_()
    x = torch.randn(8, 3, 4, dtype=torch.float64)
    expected = plain_lstm(x, [8, 2, 5], directions)
    torch.testing.assert_close(layer(x, torch.tensor([8, 2, 5])), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "rounding", "steps"),
    [
        ({}, None, Steps()),
        ({"projection": 3}, None, Steps()),
        ({}, StepRounding(hidden=1 / 127), Steps(hidden=1 / 127)),
        (
            {"projection": 3},
            StepRounding(projected=Grid(0.125, -8, 7)),
            Steps(projected=(0.125, -8, 7)),
        ),
    ],
)
def test_summed_directions(
    options: dict[str, int], rounding: StepRounding | None, steps: Steps
) -> None:
    torch.manual_seed(3)
    layer = SaturatingLstm(Lstm("l", 4, 6, merge="sum", **options)).double()
    layer.rounding = rounding
    directions = [dict(each.named_parameters()) for each in layer.directions]
    with torch.no_grad():
        for parameters in directions:
            parameters["bias_ih"] += 2.0  # large outputs, so that sums saturate
    x = torch.randn(12, 3, 4, dtype=torch.float64, requires_grad=True)
    output = layer(x, torch.tensor([12, 2, 5]))
    expected = plain_lstm(x, [12, 2, 5], directions, steps=steps, merge="sum")
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    assert output.shape == (12, 3, options.get("projection", 6))
    if not options:
        assert float(output.detach().max()) == pytest.approx(1.0, abs=1e-6)  # 127 of 127 steps
        assert float(output.detach().eq(output.detach().max()).double().mean()) > 0.05
    got = torch.autograd.grad(output.sum(), x)[0]
    wanted = torch.autograd.grad(expected.sum(), x)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)


def test_wide_mode_sums_saturate_at_an_int16() -> None:
    layer = SaturatingLstm(Lstm("l", 1, 1, merge="sum"))
    layer.rounding = StepRounding(hidden=1 / 32768)
    with torch.no_grad():
        for direction in layer.directions:
            for name in NAMES:
                getattr(direction, name).zero_()
            direction.bias_ih.copy_(torch.tensor([20.0, 20.0, 20.0, 20.0]))
    output = layer(torch.zeros(9, 1, 1), torch.tensor([9]))
    assert float(output.detach().max()) == 32767 / 32768
