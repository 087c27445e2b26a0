"""The patterns that pruning can be held to, as the recipe writes them.

The row cap is after the accelerator of the MAU paper, which takes 64 of 1,024 columns of a row
in a step; balanced banks are those of [Cao et al. 2019].
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from sparsespeech.training.recipe_section import Count, RecipeSection


class Unstructured(RecipeSection):
    """Every weight is kept or pruned by itself."""

    kind: Literal["unstructured"] = "unstructured"


class BankBalanced(RecipeSection):
    """Each row is cut into banks of ``bank`` columns that all keep equally many weights."""

    kind: Literal["bank_balanced"]
    bank: Annotated[int, Field(ge=2)] = 64


class RowCap(RecipeSection):
    """At most ``keep`` weights in each ``columns`` columns of a row; unstructured otherwise."""

    kind: Literal["row_cap"]
    keep: Count = 64
    columns: Annotated[int, Field(ge=2)] = 1024

    @model_validator(mode="after")
    def _consistent(self) -> RowCap:
        if self.keep >= self.columns:
            raise ValueError(f"keep {self.keep} must be below columns {self.columns}")
        return self


class NOfM(RecipeSection):
    """At most ``n`` weights in each ``m`` consecutive columns of a row (2 of 4 on some GPUs)."""

    kind: Literal["n_of_m"]
    n: Count = 2
    m: Annotated[int, Field(ge=2)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> NOfM:
        if self.n >= self.m:
            raise ValueError(f"n {self.n} must be below m {self.m}")
        return self


class Block(RecipeSection):
    """Blocks of ``rows`` by ``columns`` weights live or die as one, by their mean magnitude."""

    kind: Literal["block"]
    rows: Count = 4
    columns: Count = 16


# How a recipe may write a structure as text, and the command line must.
_WRITTEN = {
    "unstructured": r"unstructured",
    "bank_balanced": r"bank:(?P<bank>\d+)",
    "row_cap": r"row-cap:(?P<keep>\d+)/(?P<columns>\d+)",
    "n_of_m": r"(?P<n>\d+):(?P<m>\d+)",
    "block": r"block:(?P<rows>\d+)x(?P<columns>\d+)",
}


def _keys_of_text(value: object) -> object:
    """The keys of a structure that is written as text; anything else as it is."""
    if not isinstance(value, str):
        return value
    for kind, form in _WRITTEN.items():
        found = re.fullmatch(form, value)
        if found:
            return {"kind": kind, **found.groupdict()}
    raise ValueError(
        f"{value!r} is no structure; expected unstructured, bank:64, row-cap:64/1024, 2:4 or "
        f"block:4x16, the numbers as you like"
    )


Structure = Annotated[
    Annotated[Unstructured | BankBalanced | RowCap | NOfM | Block, Field(discriminator="kind")],
    BeforeValidator(_keys_of_text),
]
_ANY_STRUCTURE: TypeAdapter[Structure] = TypeAdapter(Structure)


def parse_structure(text: str) -> Structure:
    """The structure that ``text`` names: ``bank:64``, ``row-cap:64/1024``, ``2:4``, ``block:4x16``.

    Raises ValueError, in one line, for another text or impossible numbers.
    """
    try:
        return _ANY_STRUCTURE.validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def structure_text(structure: Structure) -> str:
    """The text that :func:`parse_structure` reads as ``structure``."""
    match structure:
        case Unstructured():
            return "unstructured"
        case BankBalanced(bank=bank):
            return f"bank:{bank}"
        case RowCap(keep=keep, columns=columns):
            return f"row-cap:{keep}/{columns}"
        case NOfM(n=n, m=m):
            return f"{n}:{m}"
        case Block(rows=rows, columns=columns):
            return f"block:{rows}x{columns}"
