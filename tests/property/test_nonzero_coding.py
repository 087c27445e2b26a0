"""Places of nonzeros come back from their bytes, and take few of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.errors import CheckpointError
from sparsespeech.training.nonzero_coding import decode_places, encode_places


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """bool[n] of any density, long empty stretches among them."""
    size = draw(st.integers(0, 3000))
    places = draw(st.lists(st.integers(0, max(size - 1, 0)), max_size=60)) if size else []
    mask = np.zeros(size, dtype=bool)
    mask[places] = True
    if size and draw(st.booleans()):
        mask |= np.random.default_rng(draw(st.integers(0, 9))).random(size) < 0.3
    return mask


@given(masks())
def test_round_trip(mask: np.ndarray) -> None:
    coding, content = encode_places(mask)
    assert content.dtype == np.uint8
    np.testing.assert_array_equal(decode_places(coding, content, mask.size), np.flatnonzero(mask))
    assert content.size <= (mask.size + 7) // 8


@pytest.mark.parametrize("zeros", [0, 1, 253, 254, 255, 256, 509, 510, 511, 765])
def test_gaps_around_the_skip(zeros: int) -> None:
    mask = np.zeros(9000, dtype=bool)
    mask[[zeros, 2 * zeros + 1, 2 * zeros + 2]] = True
    coding, content = encode_places(mask)
    assert coding == "gaps"
    np.testing.assert_array_equal(decode_places(coding, content, 9000), np.flatnonzero(mask))


def test_the_bytes_are_as_described() -> None:
    mask = np.zeros(4000, dtype=bool)
    mask[[3, 4, 4 + 1 + 255]] = True
    coding, content = encode_places(mask)
    assert (coding, content.tolist()) == ("gaps", [3, 0, 255, 0])
    coding, content = encode_places(np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], dtype=bool))
    assert (coding, content.tolist()) == ("bits", [0b1101, 1])


@pytest.mark.parametrize(
    ("coding", "content", "size"),
    [("gaps", [9], 9), ("gaps", [255, 4], 259), ("bits", [1], 9), ("other", [1], 8)],
)
def test_bytes_that_do_not_fit_are_refused(coding: str, content: list[int], size: int) -> None:
    with pytest.raises(CheckpointError, match=f"of {size} elements"):
        decode_places(coding, np.array(content, dtype=np.uint8), size)
