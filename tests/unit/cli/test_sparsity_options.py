"""Texts of sparsities on the command line."""

from __future__ import annotations

import pytest
import typer

from sparsespeech.cli.sparsity_options import (
    check_structure,
    parse_matrix_sparsities,
    parse_sparsities,
)


def test_lists_and_expressions() -> None:
    assert parse_sparsities("0.5, .75,0.9", "--x") == [0.5, 0.75, 0.9]
    assert parse_matrix_sparsities(["a=b=0.5", "^layer1\\.=0"], "--x") == {
        "a=b": 0.5,
        "^layer1\\.": 0.0,
    }
    assert check_structure("bank:8") == "bank:8"


@pytest.mark.parametrize("text", ["", "0.5,", "0.5;0.7", "0", "1.0", "nan"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a list of sparsities") as refusal:
        parse_sparsities(text, "--x")
    assert refusal.value.param_hint == "--x"


@pytest.mark.parametrize("text", ["layer1", "=0.5", "layer1=", "layer1=1", "layer1=-0.1", "l=nan"])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not REGEX=SPARSITY") as refusal:
        parse_matrix_sparsities([text], "--x")
    assert refusal.value.param_hint == "--x"
