"""The training LSTM equals the plain loop for any shape, lengths and combination of options."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.graph import Lstm
from tests.plain_lstm import Steps, plain_lstm

LAYERS = st.builds(
    Lstm,
    name=st.just("lstm"),
    inputs=st.integers(1, 5),
    cells=st.integers(1, 5),
    bidirectional=st.booleans(),
    projection=st.none() | st.integers(1, 4),
    peephole=st.booleans(),
    merge=st.sampled_from(("concatenate", "sum")),
)
STEPS = st.sampled_from((0.0, 2.0**-11, 2.0**-3))
PROJECTED = st.none() | st.just((0.125, -6, 9))


@settings(max_examples=60, deadline=None)
@given(
    layer=LAYERS,
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    hidden=st.sampled_from((0.0, 1 / 127)),
    cell=STEPS,
    gates=STEPS,
    projected=PROJECTED,
    spread=st.sampled_from((0.5, 3.0)),
    seed=st.integers(0, 2**31),
)
def test_values_and_gradients(
    layer: Lstm,
    lengths: list[int],
    hidden: float,
    cell: float,
    gates: float,
    projected: tuple[float, int, int] | None,
    spread: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    module = SaturatingLstm(layer).double()
    module.rounding = StepRounding(
        hidden or None, cell or None, gates or None, Grid(*projected) if projected else None
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, spread)
    x = torch.randn(max(lengths), len(lengths), layer.inputs, dtype=torch.float64)
    x.requires_grad_()
    output = module(x, torch.tensor(lengths))
    expected = plain_lstm(
        x,
        lengths,
        [dict(direction.named_parameters()) for direction in module.directions],
        steps=Steps(gates, cell, hidden, projected),
        merge=layer.merge if layer.bidirectional else "concatenate",
    )
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-7)
    weight = torch.randn_like(expected)
    leaves = [x, *module.parameters()]
    got = torch.autograd.grad((output * weight).sum(), leaves)
    wanted = torch.autograd.grad((expected * weight).sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
