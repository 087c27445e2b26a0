"""Rows of a padded batch without its padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.acoustic_model.real_frames import RealFrames


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


@given(batches(), st.booleans())
def test_successive_frames_sum_to_the_same_product(
    batch: tuple[torch.Tensor, int], reverse: bool
) -> None:
    lengths, steps = batch
    real = (torch.arange(steps)[:, None] < lengths)[..., None]
    gradient = torch.randint(-9, 10, (steps, len(lengths), 4)) * real
    states = torch.randint(-9, 10, (steps, len(lengths), 2)) * real
    found = RealFrames(lengths, steps).successive(gradient, states, reverse=reverse)
    expected = torch.zeros(4, 2, dtype=torch.int64)
    for step in range(steps):
        other = step + 1 if reverse else step - 1
        if 0 <= other < steps:
            expected += gradient[step].T @ states[other]
    assert torch.equal(found[0].T @ found[1], expected)


@pytest.mark.parametrize(("shorter", "rows"), [(0, 640), (19, 640), (20, 620)])
def test_little_padding_stays_where_it_is(shorter: int, rows: int) -> None:
    lengths = torch.full((32,), 20)
    lengths[0] -= min(shorter, 19)
    lengths[1] -= shorter - min(shorter, 19)
    assert len(RealFrames(lengths, 20).rows(torch.zeros(20, 32, 1))) == rows
