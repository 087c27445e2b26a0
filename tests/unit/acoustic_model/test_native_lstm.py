"""The LSTM with its loop in native code against the torch function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparsespeech.acoustic_model import native_lstm, sparse_product
from sparsespeech.acoustic_model.lstm_function import saturating_lstm
from sparsespeech.acoustic_model.native_lstm import Direction, native_lstm_serves
from sparsespeech.acoustic_model.sparse_product import SparsePattern, kernels_available
from sparsespeech.acoustic_model.step_rounding import StepRounding

pytestmark = pytest.mark.skipif(not kernels_available(), reason="no training kernels here")

CELLS, INPUTS, STEPS = 12, 20, 9


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.manual_seed(5)
    # Sparse is sparse here, also where AMX tiles would be faster.
    monkeypatch.setattr(sparse_product, "_MOST_DENSITY_BESIDE_TILES", sparse_product.MOST_DENSITY)
    yield


def make(batch: int, count: int, *, ih: bool, hh: bool, scale: float = 1.0) -> list[Direction]:
    """Directions whose input and recurrent matrices are sparse or not."""
    directions = []
    for _ in range(count):
        matrices: list[Tensor] = []
        patterns: list[SparsePattern | None] = []
        for columns, sparse in ((INPUTS, ih), (CELLS, hh)):
            mask = (torch.rand(4 * CELLS, columns) < (0.2 if sparse else 1.0)).float()
            matrices.append((torch.randn(4 * CELLS, columns) * scale * mask).requires_grad_())
            patterns.append(SparsePattern.of(mask) if sparse else None)
        bias = torch.randn(4 * CELLS).requires_grad_()
        directions.append(Direction(matrices[0], matrices[1], bias, *patterns))
    return directions


def reference(
    x: Tensor, lengths: Tensor, directions: list[Direction], rounding: StepRounding | None = None
) -> Tensor:
    return saturating_lstm(
        x,
        lengths,
        torch.stack([d.weight_ih for d in directions]),
        torch.stack([d.weight_hh for d in directions]),
        torch.stack([d.bias for d in directions]),
        rounding=rounding,
    )


def gradients(
    output: Tensor, x: Tensor, directions: list[Direction], upstream: Tensor
) -> list[Tensor]:
    """Of x and all parameters; those of pruned weights are zero."""
    parameters = [t for d in directions for t in (d.weight_ih, d.weight_hh, d.bias)]
    found = torch.autograd.grad(output, [x, *parameters], upstream)
    masks = [m for d in directions for m in (d.pattern_ih, d.pattern_hh, None)]
    kept = [found[0]]
    for gradient, pattern in zip(found[1:], masks, strict=True):
        if pattern is not None:
            dense = torch.zeros(gradient.numel())
            dense[pattern.index] = 1.0
            gradient = gradient * dense.view_as(gradient)
        kept.append(gradient)
    return kept


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / (expected.norm() + 1e-9))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch", [3, 16, 33, 64])
def test_sparse_matrices_give_the_values_and_gradients_of_the_torch_function(
    batch: int, count: int
) -> None:
    directions = make(batch, count, ih=True, hh=True, scale=2.0)
    x = torch.randn(STEPS, batch, INPUTS, requires_grad=True)
    lengths = torch.randint(1, STEPS + 1, (batch,))
    expected = reference(x, lengths, directions)
    found = native_lstm.native_lstm(x, lengths, directions)
    assert torch.allclose(found, expected, atol=1e-5)
    upstream = torch.randn_like(expected)
    for a, b in zip(
        gradients(found, x, directions, upstream),
        gradients(expected, x, directions, upstream),
        strict=True,
    ):
        assert relative_error(a, b) < 1e-4


@pytest.mark.parametrize(("ih", "hh"), [(False, False), (True, False), (False, True), (True, True)])
def test_bfloat16_is_as_near_as_torch_with_bfloat16(ih: bool, hh: bool) -> None:
    directions = make(20, 2, ih=ih, hh=hh)
    x = torch.randn(STEPS, 20, INPUTS, requires_grad=True)
    lengths = torch.randint(1, STEPS + 1, (20,))
    exact = reference(x, lengths, directions)
    with torch.autocast("cpu", torch.bfloat16):
        found = native_lstm.native_lstm(x, lengths, directions)
        rounded = reference(x, lengths, directions)
    assert torch.allclose(found, exact, atol=5e-2)
    upstream = torch.randn_like(exact)
    results = [
        gradients(output.float(), x, directions, upstream) for output in (found, rounded, exact)
    ]
    for ours, torchs, true in zip(*results, strict=True):
        assert relative_error(ours, true) < 2 * relative_error(torchs, true) + 5e-3


def test_rounding_inside_the_loop_is_that_of_the_torch_function() -> None:
    directions = make(7, 2, ih=True, hh=True, scale=3.0)
    x = torch.randn(STEPS, 7, INPUTS)
    lengths = torch.randint(1, STEPS + 1, (7,))
    rounding = StepRounding(hidden=1 / 127, cell=1 / 2048, gates=1 / 2048)
    expected = reference(x, lengths, directions, rounding)
    with torch.autocast("cpu", torch.bfloat16):  # rounding to grids is never in bfloat16
        found = native_lstm.native_lstm(x, lengths, directions, rounding)
    # A sum on the edge of two steps may fall either way: at most a step apart, and rarely.
    difference = (found - expected).detach().abs()
    assert float(difference.max()) <= 1.01 / 127
    assert float((difference > 1e-6).float().mean()) < 0.02


@pytest.mark.parametrize("inputs", [0.25, 1.0, 2.0])
def test_gradients_with_rounding_stop_at_saturated_input_parts(inputs: float) -> None:
    """Sums beyond +-16, with a recurrent part that brings many of them back.

    x and the input weights lie on coarse grids, so that both sides round the same sums.
    """
    directions = make(7, 2, ih=True, hh=True)
    with torch.no_grad():
        for direction in directions:
            direction.weight_ih.mul_(40).round_().div_(8)
            direction.weight_hh.mul_(30)
            direction.bias.mul_(8).round_().div_(8)
    x = (torch.randn(STEPS, 7, INPUTS) * 4 * inputs).round().div(4).requires_grad_()
    sums = x @ directions[0].weight_ih.T + directions[0].bias
    share = float((sums.abs() >= 16).float().mean())
    assert (share == 0) == (inputs == 0.25) and share < 0.6
    rounding = StepRounding(hidden=1 / 127, cell=1 / 2048, gates=1 / 2048)
    lengths = torch.randint(1, STEPS + 1, (7,))
    expected = reference(x, lengths, directions, rounding)
    found = native_lstm.native_lstm(x, lengths, directions, rounding)
    assert torch.equal(found, expected)
    upstream = torch.randn_like(expected)
    for a, b in zip(
        gradients(found, x, directions, upstream),
        gradients(expected, x, directions, upstream),
        strict=True,
    ):
        assert relative_error(a, b) < 1e-5


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_single_saturated_input_part_is_found(sign: float) -> None:
    """One sum leaves the range, by its bias and on one side only; the recurrent part returns it."""
    directions = make(3, 1, ih=True, hh=True)
    (direction,) = directions
    x = torch.randn(STEPS, 3, INPUTS)
    with torch.no_grad():
        direction.weight_ih.mul_(0.1)
        direction.bias.mul_(0.1)
        direction.bias[5] = sign * 18.0  # an input gate
        direction.weight_hh[5] = -sign * 60.0 * (direction.weight_hh[5] != 0)
        direction.weight_hh[5, 0] = -sign * 60.0
    recurrent = SparsePattern.of((direction.weight_hh != 0).float())
    directions = [replace(direction, pattern_hh=recurrent)]
    rounding = StepRounding(gates=1 / 2048)
    lengths = torch.full((3,), STEPS)
    results = []
    for output in (
        native_lstm.native_lstm(x, lengths, directions, rounding),
        reference(x, lengths, directions, rounding),
    ):
        results.append(torch.autograd.grad(output.sum(), direction.bias)[0])
    assert results[0][5] == results[1][5] == 0.0
    assert relative_error(results[0], results[1]) < 1e-3


def test_the_cell_saturates_and_passes_no_gradient_there() -> None:
    directions = make(4, 1, ih=True, hh=True, scale=30.0)
    x = torch.randn(60, 4, INPUTS, requires_grad=True)
    lengths = torch.full((4,), 60)
    expected = reference(x, lengths, directions)
    found = native_lstm.native_lstm(x, lengths, directions)
    assert torch.allclose(found, expected, atol=1e-3)


def test_what_is_not_a_number_stays_visible() -> None:
    directions = make(4, 2, ih=True, hh=True)
    x = torch.randn(STEPS, 4, INPUTS)
    x[2, 1] = float("nan")
    found = native_lstm.native_lstm(x, torch.full((4,), STEPS), directions)
    assert found[:, 1].isnan().any()
    assert not found[:, [0, 2, 3]].isnan().any()


def test_it_serves_what_it_can_do_only() -> None:
    directions = make(8, 2, ih=True, hh=True)
    dense = make(8, 2, ih=False, hh=True)
    x = torch.zeros(STEPS, 8, INPUTS)
    assert native_lstm_serves(x, directions)
    assert not native_lstm_serves(x, dense)
    with torch.autocast("cpu", torch.bfloat16):
        assert native_lstm_serves(x, dense)
        assert native_lstm_serves(x, directions, StepRounding(cell=1 / 2048))
        assert not native_lstm_serves(x, dense, StepRounding(cell=1 / 2048))
    assert not native_lstm_serves(torch.zeros(STEPS, 65, INPUTS), directions)
    assert not native_lstm_serves(torch.zeros(STEPS, 1, INPUTS), directions)
    assert not native_lstm_serves(x.to("meta"), directions)
