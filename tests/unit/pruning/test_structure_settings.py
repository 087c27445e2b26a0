"""Structures as the command line writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.pruning.structure_settings import (
    BankBalanced,
    Block,
    NOfM,
    RowCap,
    Structure,
    Unstructured,
    parse_structure,
    structure_text,
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


@given(
    st.one_of(
        st.just(Unstructured()),
        st.builds(BankBalanced, kind=st.just("bank_balanced"), bank=st.integers(2, 2000)),
        st.builds(Block, kind=st.just("block"), rows=st.integers(1, 99), columns=st.integers(1, 9)),
        st.integers(1, 99).flatmap(
            lambda n: st.builds(NOfM, kind=st.just("n_of_m"), n=st.just(n), m=st.integers(n + 1))
        ),
        st.integers(1, 99).flatmap(
            lambda keep: st.builds(
                RowCap, kind=st.just("row_cap"), keep=st.just(keep), columns=st.integers(keep + 1)
            )
        ),
    )
)
def test_the_text_of_a_structure_is_read_as_that_structure(structure: Structure) -> None:
    assert parse_structure(structure_text(structure)) == structure
