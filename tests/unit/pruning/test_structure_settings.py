"""Structures as the command line writes them."""

from __future__ import annotations

import pytest

from sparsespeech.pruning.structure_settings import (
    BankBalanced,
    Block,
    NOfM,
    RowCap,
    Structure,
    Unstructured,
    parse_structure,
)


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("unstructured", Unstructured()),
        ("bank:32", BankBalanced(kind="bank_balanced", bank=32)),
        ("row-cap:48/512", RowCap(kind="row_cap", keep=48, columns=512)),
        ("1:4", NOfM(kind="n_of_m", n=1, m=4)),
        ("block:8x2", Block(kind="block", rows=8, columns=2)),
    ],
)
def test_written_structures(text: str, structure: Structure) -> None:
    assert parse_structure(text) == structure


@pytest.mark.parametrize("text", ["", "bank", "bank:1", "2:4:8", "4:2", "block:4", "row-cap:0/8"])
def test_what_is_no_structure(text: str) -> None:
    with pytest.raises(ValueError, match="structure|greater than|must be below"):
        parse_structure(text)
