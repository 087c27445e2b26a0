"""Heat maps against plain loops over the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.report.heat_maps import block_density, block_side, heat_map, input_density
from sparsespeech.report.weights import compress


@given(
    st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**32 - 1)
)
def test_density_is_the_share_of_nonzeros_in_each_block(
    rows: int, columns: int, side: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.4)
    found = block_density(compress("x", dense), (side, 2 * side))
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            block = dense[i * side : (i + 1) * side, j * 2 * side : (j + 1) * 2 * side]
            assert found[i, j] == pytest.approx(np.count_nonzero(block) / block.size)
    assert found.shape == (-(-rows // side), -(-columns // (2 * side)))


@given(st.integers(1, 20_000))
def test_block_side_leaves_48_to_96_pixels(length: int) -> None:
    side = block_side(length)
    pixels = -(-length // side)
    assert side & (side - 1) == 0
    assert pixels == length if length < 96 else 48 <= pixels <= 96


def test_input_density_separates_frames_and_coefficients() -> None:
    dense = np.zeros((4, 6))  # 3 frames of 2 coefficients, oldest first
    dense[:, 3] = 1.0  # coefficient 1 of frame 1
    dense[:2, 4] = 1.0  # coefficient 0 of frame 2
    assert input_density(compress("x", dense), 2).tolist() == [[0, 0, 0.5], [0, 1, 0]]


def test_gates_are_named_in_the_caption_of_an_lstm_only() -> None:
    picture = heat_map(compress("layer4.forward.input_weights", np.eye(8)))
    assert "8 × 8, 12.5% nonzero" in picture


def test_an_empty_matrix_has_a_heat_map() -> None:
    assert "0.0% nonzero" in heat_map(compress("x", np.zeros((3, 5))))
