"""Quantised frames and context windows: rule R12."""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.features.context_window import (
    context_windows,
    inner_windows,
    quantize_frames,
)
from sparsespeech.model_file.model import InputQuantization


def quantization(scale: float, zero_point: int) -> InputQuantization:
    return InputQuantization(np.array([0.0]), np.array([1.0]), scale, zero_point)


@given(value=st.floats(-1e6, 1e6), scale=st.floats(1e-3, 1e3), zero_point=st.integers(0, 255))
def test_quantize_rounds_half_up_and_clamps(value: float, scale: float, zero_point: int) -> None:
    got = quantize_frames(np.array([[value]]), quantization(scale, zero_point))
    # The rule divides in float64; from there on exact fractions are the oracle.
    steps = floor(Fraction(value / scale) + Fraction(1, 2)) if abs(value / scale) < 2**40 else None
    if steps is None:
        steps = -(2**40) if value < 0 else 2**40
    expected = min(max(steps + zero_point, 0), 255)
    # floor(x + 0.5) in float64 may differ from exact arithmetic only next to a tie.
    if abs(Fraction(value / scale) % 1 - Fraction(1, 2)) > Fraction(1, 2**30):
        assert got[0, 0] == expected


def test_ties_go_up() -> None:
    values = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    np.testing.assert_array_equal(
        quantize_frames(values, quantization(1.0, 10)).ravel(), [9, 10, 11, 12]
    )


def test_wide_frames_are_int16_without_a_zero_point() -> None:
    values = np.array([[-32769.0], [-32768.5], [-1.5], [0.49], [32766.5], [1e9]])
    found = quantize_frames(values, quantization(1.0, 0), 16)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found.ravel(), [-32768, -32768, -1, 0, 32767, 32767])


def test_normalises_with_mean_and_deviation() -> None:
    facts = InputQuantization(np.array([2.0, -1.0]), np.array([4.0, 0.5]), 0.25, 100)
    np.testing.assert_array_equal(quantize_frames(np.array([[6.0, -1.25]]), facts), [[104, 98]])


@given(frames=st.integers(0, 12), context=st.integers(0, 5), width=st.integers(1, 4))
def test_windows_hold_neighbours_oldest_first(frames: int, context: int, width: int) -> None:
    values = np.arange(1, frames * width + 1, dtype=np.uint8).reshape(frames, width)
    windows = context_windows(values, context, 77)
    assert windows.shape == (frames, (2 * context + 1) * width)
    for time in range(frames):
        for offset in range(-context, context + 1):
            inside = 0 <= time + offset < frames
            expected = values[time + offset] if inside else np.full(width, 77)
            start = (offset + context) * width
            np.testing.assert_array_equal(windows[time, start : start + width], expected)


def test_inner_windows_are_those_without_padding() -> None:
    frames = np.arange(40, dtype=np.uint8).reshape(20, 2)[::2]  # 10 frames, not contiguous
    np.testing.assert_array_equal(inner_windows(frames, 3), context_windows(frames, 3, 99)[3:-3])
    assert inner_windows(frames[:6], 3).shape == (0, 14)
    assert inner_windows(frames[:0], 0).shape == (0, 2)
