import math

import numpy as np
import pytest

from sparsespeech.quantization.shared_matrix import SharedMatrix


def test_facts_of_a_matrix_by_hand() -> None:
    before = np.array([[0.0, 1.0, -2.0], [3.0, 0.0, 1.0]], np.float32)
    after = np.array([[0.0, 1.0, -2.0], [2.0, 0.0, 1.0]], np.float32)
    facts = SharedMatrix.of("m", before, after)
    # Powers: 1 + 4 + 9 + 1 of the weights, 1 of their change.
    assert facts == SharedMatrix("m", 4, 3, 3, pytest.approx(10 * math.log10(15)))


def test_integers_neither_overflow_nor_need_their_zeros() -> None:
    before = np.array([127, -127, 100, 100], np.int8)
    after = np.array([100, -127, 100, 100], np.int8)
    power = 2 * 127**2 + 2 * 100**2
    assert SharedMatrix.of("m", before, after) == SharedMatrix(
        "m", 4, 3, 2, pytest.approx(10 * math.log10(power / 27**2))
    )


def test_no_change_has_no_ratio() -> None:
    weights = np.array([1.0, 2.0])
    assert SharedMatrix.of("m", weights, weights).sqnr_db is None
