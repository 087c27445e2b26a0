"""Options of pruning that two commands share, and how their texts are read."""

from __future__ import annotations

from typing import Annotated

import typer

StructureOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Pattern to prune in: unstructured, bank:64 (as many left in each 64 columns of a "
        "row), row-cap:64/1024 (at most 64 of 1024 columns), 2:4 (at most 2 of 4) or block:4x16.",
    ),
]
LARGEST_SPARSITY = 0.999


def parse_sparsities(text: str, option: str) -> list[float]:
    """The numbers of a list such as ``0.5,0.7``; raises the usage error of ``option``."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < 1 for value in values):
        raise typer.BadParameter(
            f"{text!r} is not a list of sparsities between 0 and 1, such as 0.5,0.75,0.9",
            param_hint=option,
        )
    return values


def parse_matrix_sparsities(texts: list[str], option: str) -> dict[str, float]:
    """Sparsities by regular expression, of texts such as ``weight_hh=0.95``.

    Raises the usage error of ``option``.
    """
    found = {}
    for text in texts:
        expression, _, value = text.rpartition("=")
        try:
            sparsity = float(value)
        except ValueError:
            sparsity = -1.0
        if not expression or not 0.0 <= sparsity < 1.0:
            raise typer.BadParameter(
                f"{text!r} is not REGEX=SPARSITY with a sparsity from 0 to below 1, such as "
                f"'weight_hh=0.95'",
                param_hint=option,
            )
        found[expression] = sparsity
    return found


def check_structure(text: str) -> str:
    """``text`` if it names a structure; raises the usage error of --structure."""
    from sparsespeech.pruning.structure_settings import parse_structure

    try:
        parse_structure(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--structure") from None
    return text
