"""The options that say which accelerator, and how a model is laid over it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compilation import DEFAULT_TARGET, MappingName, Objective

_MAPPINGS: dict[str, MappingName] = {
    "paper": "paper",
    "interleaved": "interleaved",
    "auto": "auto",
}
_OBJECTIVES: dict[str, Objective] = {"latency": "latency", "throughput": "throughput"}

TargetOption = Annotated[
    str, typer.Option(metavar="|".join(TARGETS), help=f"Accelerator; default {DEFAULT_TARGET}.")
]
MappingOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(_MAPPINGS),
        help="paper: each direction of an LSTM has its own cores. interleaved: each core works for "
        "both, and one fills the pauses of the other. auto: the better by the simulator's count.",
    ),
]
ObjectiveOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(_OBJECTIVES),
        help="What --mapping auto compares: one utterance alone, or many in flight.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with parameters that replace those of the target."),
]
HostLayersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="The last layers, which the host computes; default: all behind the last LSTM.",
    ),
]


def mapping_name(name: str) -> MappingName:
    """The mapping called ``name``; raises BadParameter."""
    if name not in _MAPPINGS:
        raise typer.BadParameter(
            f"{name!r} is not one of {', '.join(_MAPPINGS)}", param_hint="--mapping"
        )
    return _MAPPINGS[name]


def objective_name(name: str) -> Objective:
    """The objective called ``name``; raises BadParameter."""
    if name not in _OBJECTIVES:
        raise typer.BadParameter(
            f"{name!r} is not one of {', '.join(_OBJECTIVES)}", param_hint="--objective"
        )
    return _OBJECTIVES[name]


def layer_names(names: str | None) -> tuple[str, ...] | None:
    """The layers that ``--host-layers`` names."""
    if names is None:
        return None
    return tuple(name.strip() for name in names.split(",") if name.strip())
