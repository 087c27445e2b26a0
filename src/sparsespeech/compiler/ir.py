"""What the compiler's passes hand on: a plan that grows from rows and columns to cores and words.

Axes: N row groups (steps), R row lanes. Each pass returns a new plan with more fields filled;
``lower.py`` lists them. ``to_json`` shows a plan to a person (``compile --dump``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Mapping, Place, Role, Stream
from sparsespeech.compiler.program import Sequence as SequenceMemory
from sparsespeech.model_file.model import IntegerModel


@dataclass(frozen=True, eq=False)
class ChainPlan:
    """One group of rows of one matrix, and how its columns are split over cores."""

    name: str  # "layer4.forward.input.0"
    layer: str
    direction: Literal["", "forward", "backward"]
    role: Role
    row_group: int
    matrix: str  # see matrices.matrix_of
    rows: NDArray[np.int32]  # [N, R], -1 for a lane without a row
    slices: tuple[tuple[int, int], ...]  # columns of each task, in the order of partial sums
    first_output: int
    outputs: int
    cores: tuple[int, ...] = ()  # place: one a slice

    @property
    def row_groups(self) -> int:
        """N."""
        return int(self.rows.shape[0])


@dataclass(frozen=True, eq=False)
class Plan:
    """The program in the making."""

    model: IntegerModel
    config: AcceleratorConfig
    mapping: Mapping
    host_layers: tuple[str, ...] | None = None  # wished; None: all behind the last LSTM
    results_share: float = 1.0  # of a port's slots, that results of an LSTM may take; see lower.py
    accelerated: tuple[str, ...] = ()  # select_layers: names in order
    row_groups: dict[str, int] = field(default_factory=dict)  # allocate_cores: a layer
    chains: tuple[ChainPlan, ...] = ()  # split, then place
    places: tuple[Place, ...] = ()  # place: of every core of the grid
    streams: tuple[Stream, ...] = ()  # route
    output_streams: tuple[int | None, ...] = ()  # route: a chain
    sequences: tuple[SequenceMemory, ...] = ()  # route
    words: tuple[NDArray[np.uint64], ...] = ()  # pack_words: a core, [R, Q, words]
    word_start: tuple[tuple[NDArray[np.int32], ...], ...] = ()  # a chain, a task: [R, Q]
    word_count: tuple[tuple[NDArray[np.int32], ...], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # figures for the report

    def to_json(self) -> dict[str, Any]:
        """What a person wants to see of the plan: everything but weights and words."""
        return {
            "target": self.config.name,
            "mapping": self.mapping,
            "accelerated": list(self.accelerated),
            "host_layers": [
                layer.name
                for layer in self.model.graph.layers
                if self.accelerated and layer.name not in self.accelerated
            ],
            "row_groups": self.row_groups,
            "chains": [_chain_json(chain) for chain in self.chains],
            "places": [list(place) for place in self.places],
            "streams": [asdict(stream) for stream in self.streams],
            "output_streams": list(self.output_streams),
            "sequences": [asdict(sequence) for sequence in self.sequences],
            "words": [
                {"core": core, "stored": int(np.count_nonzero(words)), "depth": words.shape[-1]}
                for core, words in enumerate(self.words)
            ],
            "word_count": [
                [{"fewest": int(count.min()), "most": int(count.max())} for count in chain]
                for chain in self.word_count
            ],
            "facts": self.facts,
        }


def _chain_json(chain: ChainPlan) -> dict[str, Any]:
    present = chain.rows[chain.rows >= 0]
    return {
        "name": chain.name,
        "matrix": chain.matrix,
        "role": chain.role,
        "direction": chain.direction,
        "row_groups": chain.row_groups,
        "rows": int(present.size),
        "first_output": chain.first_output,
        "outputs": chain.outputs,
        "slices": [list(columns) for columns in chain.slices],
        "cores": list(chain.cores),
    }
