"""Modules are recognised by names and shapes; what is no nn.Linear or nn.LSTM is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.modules import LinearModule, LstmModule, find_modules
from sparsespeech.exchange.state_dict import StateDict
from tests.foreign_network import ForeignNetwork

Tensors = dict[str, Tensor]


def source(tensors: Tensors) -> StateDict:
    return StateDict(Path("m.pt"), tensors, ordered=True)


def failure(tensors: Tensors, *ignore: str) -> str:
    with pytest.raises(ExchangeError) as caught:
        find_modules(source(tensors), ignore)
    return str(caught.value)


def test_modules_in_order_with_their_widths() -> None:
    found = find_modules(source(ForeignNetwork(stack=2).state_dict()))
    assert [(module.name, module.inputs, module.outputs) for module in found] == [
        ("dense.0", 15, 7), ("dense.1", 7, 6), ("rnn", 6, 8), ("head", 8, 6),
    ]  # fmt: skip
    rnn = found[2]
    assert isinstance(rnn, LstmModule)
    assert [(step.inputs, step.cells, len(step.directions)) for step in rnn.steps] == [
        (6, 4, 2), (8, 4, 2),
    ]  # fmt: skip


def test_bare_modules_have_an_empty_name() -> None:
    (linear,) = find_modules(source(nn.Linear(3, 2).state_dict()))
    (lstm,) = find_modules(source(nn.LSTM(3, 2, proj_size=1, bidirectional=True).state_dict()))
    assert isinstance(linear, LinearModule)
    assert isinstance(lstm, LstmModule)
    assert (linear.name, lstm.name) == ("", "")
    assert (lstm.steps[0].projection, lstm.steps[0].cells, lstm.outputs) == (1, 2, 2)


def test_missing_biases_are_zeros() -> None:
    linear, lstm = (
        find_modules(source(module.state_dict()))[0]
        for module in (nn.Linear(3, 2, bias=False), nn.LSTM(3, 2, bias=False))
    )
    assert isinstance(linear, LinearModule)
    assert isinstance(lstm, LstmModule)
    assert torch.equal(linear.bias, torch.zeros(2))
    assert torch.equal(lstm.steps[0].directions[0]["bias_hh"], torch.zeros(8))


def test_ignored_tensors_are_passed_over_by_whole_name() -> None:
    tensors = {**nn.Linear(3, 2).state_dict(), "extra.scale": torch.zeros(1)}
    assert len(find_modules(source(tensors), [r"extra\..*"])) == 1
    assert "tensor extra.scale [1] belongs neither" in failure(tensors, "extra")
    assert "holds no tensor" in failure(tensors, ".*")


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (nn.Conv1d(3, 2, 5), "tensor weight [2, 3, 5]: expected [outputs, inputs]"),
        (nn.BatchNorm1d(4), "tensor running_mean [4] belongs neither"),
        (nn.LayerNorm(4), "tensor weight [4]: expected [outputs, inputs]"),
        (nn.GRU(3, 2), "= 8 rows of an nn.LSTM, got 6, which is an nn.GRU"),
        (nn.RNN(3, 2), "= 8 rows of an nn.LSTM, got 2, which is an nn.RNN"),
        (nn.LSTMCell(3, 2), "tensor weight_ih [8, 3] belongs neither"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_modules_are_named(module: nn.Module, part: str) -> None:
    assert part in failure(module.state_dict())


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def resized(name: str, *shape: int) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (without("rnn.weight_hh_l0"), "tensor rnn.weight_hh_l0 of an nn.LSTM is missing"),
        (without("rnn.bias_ih_l1_reverse"), "tensor rnn.bias_ih_l1_reverse of an nn.LSTM is"),
        (without("dense.0.weight"), "tensor dense.0.bias [7] comes without dense.0.weight"),
        (resized("dense.0.bias", 8), "tensor dense.0.bias has shape [8], expected [7]"),
        (resized("rnn.bias_hh_l0", 15), "rnn.bias_hh_l0 has shape [15], expected [16]"),
        (resized("rnn.weight_hh_l0", 12, 4), "rnn.weight_hh_l0 has shape [12, 4], expected [16"),
        (resized("rnn.weight_ih_l1", 16, 4), "rnn.weight_ih_l1_reverse has shape [16, 8], exp"),
        (resized("rnn.weight_ih_l0", 17, 6), "= 16 rows of an nn.LSTM, got 17"),
        (resized("rnn.weight_ih_l0", 16), "rnn.weight_ih_l0 [16]: expected two axes"),
        (resized("rnn.weight_hr_l0", 3, 4), "rnn.weight_hr_l0 has shape [3, 4], expected [4, 4]"),
        (resized("rnn.weight_ih_l7", 16, 8), "rnn.weight_ih_l2, rnn.weight_hh_l2 of an nn.LSTM"),
        (resized("rnn.weight", 2, 2), "rnn.weight [2, 2] stands among those of the nn.LSTM"),
        (resized("dense.0.weight", 0, 15), "dense.0.weight [0, 15]: is empty"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: Callable[[Tensors], object], part: str) -> None:
    tensors = dict(ForeignNetwork(stack=2).state_dict())
    change(tensors)
    assert part in failure(tensors)


def test_stacked_layer_takes_what_the_one_below_gives() -> None:
    tensors = dict(nn.LSTM(6, 4, 2).state_dict())
    tensors["weight_ih_l1"] = torch.zeros(16, 5)
    assert "weight_ih_l1 has shape [16, 5], expected [16, 4]" in failure(tensors)


@pytest.mark.parametrize(
    ("tensor", "part"),
    [
        (torch.full((2, 3), torch.nan), "holds NaN or infinity"),
        (torch.full((2, 3), 1e300, dtype=torch.float64), "holds NaN or infinity in float32"),
        (torch.zeros(2, 3, dtype=torch.int64), "holds torch.int64"),
        (torch.zeros(2, 3).to_sparse(), "torch.sparse_coo"),
        (torch.zeros(2, 3, device="meta"), "expected a dense float tensor"),
        (torch.zeros(1).expand(10**6, 10**6), "does not hold all of them"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_numbers_that_cannot_be_weights(tensor: Tensor, part: str) -> None:
    assert part in failure({"fc.weight": tensor})
