"""Which decoder the options of a command ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.decoding.beam_search import DEFAULT_BEAM_WIDTH
from sparsespeech.recogniser import DecoderName

_LARGEST_WEIGHT = 1e6  # of decoding/word_scoring.py

DecoderOption = Annotated[
    str | None,
    typer.Option(metavar="greedy|beam", help="Default greedy; beam if --beam or --lm is given."),
]
BeamOption = Annotated[
    int | None, typer.Option(min=1, help=f"Beam width; default {DEFAULT_BEAM_WIDTH}.")
]
LanguageModelOption = Annotated[Path | None, typer.Option(help="Language model, ARPA or ARPA.gz.")]
AlphaOption = Annotated[
    float | None,
    typer.Option(metavar="WEIGHT", help="Weight of the language model; default 0.75."),
]
BetaOption = Annotated[
    float | None, typer.Option(metavar="BONUS", help="Bonus of each word, with --lm; default 1.2.")
]


def decoder_name(decoder: str | None, beam: int | None, lm: Path | None) -> DecoderName:
    """``decoder``; without it beam if ``beam`` or ``lm`` is given, else greedy.

    Raises the usage error of an unknown decoder, and of a beam width or language model for greedy.
    """
    wanted = beam is not None or lm is not None
    if decoder == "beam" or (decoder is None and wanted):
        return "beam"
    if decoder not in (None, "greedy"):
        raise typer.BadParameter(f"{decoder!r} is not greedy or beam", param_hint="--decoder")
    if wanted:
        raise typer.BadParameter("--beam and --lm need --decoder beam", param_hint="--decoder")
    return "greedy"


def check_language_model_weights(lm: Path | None, alpha: float | None, beta: float | None) -> None:
    """Raise the usage error of weights without a language model, or that are no weights."""
    for option, weight in (("--alpha", alpha), ("--beta", beta)):
        if weight is None:
            continue
        if lm is None:
            raise typer.BadParameter(
                "a language model has weights: give --lm too", param_hint=option
            )
        if not abs(weight) <= _LARGEST_WEIGHT:  # NaN too
            raise typer.BadParameter(
                f"{weight} is not within +-{_LARGEST_WEIGHT:,.0f}", param_hint=option
            )
