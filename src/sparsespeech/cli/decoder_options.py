"""Which decoder the options of a command ask for."""

from __future__ import annotations

from pathlib import Path

import typer

from sparsespeech.recogniser import DecoderName


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
