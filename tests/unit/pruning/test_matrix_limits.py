"""How far a suggestion may prune each matrix."""

from __future__ import annotations

import pytest
import torch

from sparsespeech.errors import SensitivityError
from sparsespeech.graph import deepspeech
from sparsespeech.pruning.allocation import Limits
from sparsespeech.pruning.matrix_limits import default_largest, matrix_limits
from sparsespeech.pruning.structure_settings import parse_structure
from sparsespeech.pruning.structures import most_sparsity, structured_mask

SHAPES = {"layer1.weight": (4, 6), "layer2.weight": (4, 64), "layer6.weight": (4, 64)}
STRUCTURES = {
    "layer1.weight": parse_structure("bank:8"),
    "layer2.weight": parse_structure("bank:8"),
    "layer6.weight": parse_structure("unstructured"),
}


def test_exceptions_and_patterns_lower_the_limits() -> None:
    largest = {"layer": 0.95, "layer6": 0.1}
    limits = matrix_limits(SHAPES, Limits(0.2, 0.98), largest, STRUCTURES)
    assert limits["layer1.weight"] == Limits(0.2, pytest.approx(5 / 6))
    assert limits["layer2.weight"] == Limits(0.2, 0.875)
    assert limits["layer6.weight"] == Limits(0.1, 0.1)
    with pytest.raises(SensitivityError, match="'layer9' matches no weight matrix"):
        matrix_limits(SHAPES, Limits(0.0, 0.9), {"layer9": 0.5}, STRUCTURES)


@pytest.mark.parametrize("columns", [2, 5, 8, 64])
def test_the_most_sparsity_leaves_one_weight_in_each_bank(columns: int) -> None:
    bank = parse_structure("bank:8")
    weight = torch.randn(3, columns)
    mask = structured_mask(weight, torch.ones_like(weight), most_sparsity(bank, columns), bank)
    width = min(8, columns)
    assert (mask.view(3, -1, width).sum(dim=2) == 1).all()
    assert most_sparsity(parse_structure("2:4"), columns) == 1.0


def test_the_first_layer_gets_less_and_the_output_layer_nothing() -> None:
    assert default_largest(deepspeech(8)) == {r"^layer1\.": 0.85, r"^layer6\.": 0.0}
