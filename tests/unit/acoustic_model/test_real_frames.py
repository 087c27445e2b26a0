"""Rows of a padded batch without its padding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.acoustic_model.real_frames import RealFrames
from sparsespeech.acoustic_model.sparse_product import (
    from_lanes,
    kernels_available,
    native,
    to_lanes,
)

needs_kernels = pytest.mark.skipif(not kernels_available(), reason="no training kernels here")


@st.composite
def batches(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    steps = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, steps), min_size=1, max_size=40))
    return torch.tensor(lengths), steps


@given(batches())
def test_rows_and_back_changes_no_real_frame(batch: tuple[torch.Tensor, int]) -> None:
    lengths, steps = batch
    real = torch.arange(steps)[:, None] < lengths
    x = torch.randn(steps, len(lengths), 3) * real[..., None]
    frames = RealFrames(lengths, steps)
    rows = frames.rows(x)
    assert torch.equal(frames.padded(rows), x)
    assert len(rows) == int(real.sum()) or len(rows) < real.sum() / 0.97


@needs_kernels
@given(batches(), st.integers(1, 20))
def test_lanes_and_back_changes_no_real_frame(
    batch: tuple[torch.Tensor, int], features: int
) -> None:
    lengths, steps = batch
    frames = RealFrames(lengths, steps)
    rows = frames.rows(torch.randn(steps, len(lengths), features)).to(torch.bfloat16)
    lanes = frames.to_lanes(rows)
    assert torch.equal(from_lanes(lanes, len(lengths)).to(torch.bfloat16), frames.padded(rows))
    assert not lanes[:, :, len(lengths) :].any()
    assert torch.equal(frames.from_lanes(lanes), rows)


@needs_kernels
@given(batches(), st.booleans())
def test_states_before_give_the_product_of_successive_frames(
    batch: tuple[torch.Tensor, int], reverse: bool
) -> None:
    lengths, steps = batch
    real = (torch.arange(steps)[:, None] < lengths)[..., None]
    gradient = torch.randint(-9, 10, (steps, len(lengths), 4)) * real  # exact in bf16
    states = torch.randint(-9, 10, (steps, len(lengths), 2)) * real
    frames = RealFrames(lengths, steps)
    before = frames.states_before(to_lanes(states.float()), reverse=reverse)
    expected = torch.zeros(4, 2, dtype=torch.int64)
    for step in range(steps):
        other = step + 1 if reverse else step - 1
        if 0 <= other < steps:
            expected += gradient[step].T @ states[other]
    assert torch.equal(frames.rows(gradient).T @ before.long(), expected)


@needs_kernels
def test_lengths_that_do_not_fit_the_rows_are_refused() -> None:
    rows, out = np.zeros((3, 2), np.int16), np.empty((2, 2, 16), np.float32)
    for lengths, what in (([2, 2], "one row for each frame"), ([3, 0], "0 to the number of steps")):
        padded = np.array(lengths + [0] * 14, np.int32)
        with pytest.raises(ValueError, match=what):
            native.rows_to_lanes(rows, padded, out)
        with pytest.raises(ValueError, match=what):
            native.lanes_to_rows(out, padded, rows)
    with pytest.raises(ValueError, match="one length for each lane"):
        native.rows_to_lanes(rows, np.array([2, 1], np.int32), out)


@pytest.mark.parametrize(("shorter", "rows"), [(0, 640), (19, 640), (20, 620)])
def test_little_padding_stays_where_it_is(shorter: int, rows: int) -> None:
    lengths = torch.full((32,), 20)
    lengths[0] -= min(shorter, 19)
    lengths[1] -= shorter - min(shorter, 19)
    assert len(RealFrames(lengths, 20).rows(torch.zeros(20, 32, 1))) == rows
