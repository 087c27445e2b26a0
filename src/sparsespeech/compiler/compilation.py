"""Compiling for users: a model by name, a target by name, and the better of two mappings.

Axes: none of its own; see ``program.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.mapping_choice import Objective, choose_mapping
from sparsespeech.compiler.program import Program
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model

DEFAULT_TARGET = "mau-stratix10"
MappingName = Literal["paper", "interleaved", "auto"]


def compile_model(
    model: IntegerModel | str | Path,
    target: str | AcceleratorConfig = DEFAULT_TARGET,
    *,
    mapping: MappingName = "paper",
    objective: Objective = "latency",
    host_layers: tuple[str, ...] | None = None,
    after: Callable[[str, Plan], None] | None = None,
) -> Program:
    """The program of a model (or of a model file, or of a bundled model's name) for a target.

    ``mapping`` "auto" takes the one that :func:`.choose_mapping` finds better for ``objective``;
    ``host_layers`` and ``after`` are those of :func:`.lower`. Raises CompileError for a model that
    does not fit, NoProgramError for one that no program runs yet, AcceleratorConfigError for an
    unknown target, ModelFileError for a file that is none.
    """
    contents = model if isinstance(model, IntegerModel) else read_model(resolve_model(model))
    config = target if isinstance(target, AcceleratorConfig) else named_target(target)
    if mapping == "auto":
        mapping = choose_mapping(contents, config, host_layers, objective).mapping
    return lower(contents, config, mapping, host_layers=host_layers, after=after)
