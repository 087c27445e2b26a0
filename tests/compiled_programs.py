"""Small models compiled for small accelerators, for tests of values, driver and commands.

Axes: T frames, C inputs of one window (6 here).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.model_file.model import IntegerModel
from tests.random_models import random_integer_model

INPUTS = 6
GRID = replace(
    TARGETS["tiny"],
    name="small-grid",
    grid_rows=4,
    grid_columns=8,
    cores=32,
    windows=2,
    window_columns=8,  # 16 columns a core: rows of more are added up along a chain
    weight_words=12,  # few, so that layers need several row groups
    slots=32,
    sequence_bytes=1024,
)


def small_model(
    seed: int = 0, *, hidden: int = 8, bidirectional: bool = True, **choices: Any
) -> IntegerModel:
    """Two linear layers, an LSTM, a linear and the output layer, on windows of 3 x 2."""
    rng = np.random.default_rng(seed)
    return random_integer_model(
        rng, hidden=hidden, bidirectional=bidirectional, coefficients=2, context=1, **choices
    )


@lru_cache(maxsize=32)
def small_program(
    seed: int = 0,
    *,
    hidden: int = 8,
    bidirectional: bool = True,
    mapping: Mapping = "paper",
    per_row: bool = False,
    host_layers: tuple[str, ...] | None = None,
    config: AcceleratorConfig = GRID,
) -> Program:
    """The program of :func:`small_model`."""
    model = small_model(seed, hidden=hidden, bidirectional=bidirectional, per_row=per_row)
    return lower(model, config, mapping, host_layers=host_layers)


def random_windows(seed: int, frames: int) -> NDArray[np.uint8]:
    """uint8[T, C]."""
    return np.random.default_rng(seed).integers(0, 256, (frames, INPUTS)).astype(np.uint8)
