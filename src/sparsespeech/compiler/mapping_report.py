"""How a network lies on a grid, from its shapes alone: Table II of the MAU paper for any graph.

Networks that no accelerator program runs yet are mapped as well: stacks of LSTMs, projections (a
matrix with row groups of its own), peepholes and summed directions (no matrix). Convolutions and
all behind the last LSTM stay on the host. Each row is taken to need one weight word, as it does
above 95 % sparsity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_demand import LayerDemand, layer_demand, words_without_pattern
from sparsespeech.compiler.layer_shapes import MatrixShape, directions_of
from sparsespeech.compiler.metrics import efficiency, kind_of, throughput_tops
from sparsespeech.compiler.passes.allocate_cores import (
    add_row_groups,
    cores_of,
    fewest_row_groups,
)
from sparsespeech.compiler.passes.select_layers import accelerated_names
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.graph import Conv2d, Graph, Lstm, Output


@dataclass(frozen=True)
class MappedLayer:
    """A row of Table II; a projection has a row of its own."""

    layer: str
    kind: str
    cores: int
    row_groups: int  # of a direction
    efficiency: float  # 0 to 1
    weights: int  # dense, without biases
    cycles_per_frame: int


@dataclass(frozen=True)
class MappingReport:
    """A network on a grid; with ``fits`` False each layer has the fewest cores that hold it."""

    target: str
    mapping: Mapping
    fits: bool
    cores: int  # of the grid
    cores_used: int
    layers: tuple[MappedLayer, ...]
    host_layers: tuple[str, ...]
    total_efficiency: float  # of the whole grid, or of the cores that would be needed
    cycles_per_frame: int  # of the slowest layer
    effective_tops: float  # two operations for each dense weight, in that time

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def map_graph(
    graph: Graph,
    config: AcceleratorConfig,
    mapping: Mapping,
    host_layers: tuple[str, ...] | None = None,
) -> MappingReport:
    """The report of ``graph`` on ``config``; ``host_layers`` as in :func:`.lower`.

    Raises CompileError if no layer is for the accelerator, or one step of one does not fit a core.
    """
    accelerated = accelerated_names(graph, host_layers)
    host = tuple(
        layer.name
        for layer in graph.layers
        if layer.name not in accelerated or isinstance(layer, Conv2d | Output)
    )
    kinds: dict[str, str] = {}
    demands: list[LayerDemand] = []
    for layer in graph.layers:
        if layer.name in host:
            continue
        demands.append(layer_demand(layer, mapping))
        kinds[layer.name] = kind_of(layer)
        if isinstance(layer, Lstm) and layer.projection is not None:
            demands.append(_projection(layer, layer.projection, mapping))
            kinds[demands[-1].layer] = "projection"
    if not demands:
        raise CompileError("the network has no layer for an accelerator: all run on the host")
    words = words_without_pattern(config)
    groups = fewest_row_groups(demands, config, words)
    fits = cores_of(demands, groups, config) <= config.cores
    if fits:
        groups = add_row_groups(demands, groups, config, words)
    rows = tuple(
        _mapped(demand, kinds[demand.layer], groups[demand.layer], config) for demand in demands
    )
    used = sum(row.cores for row in rows)
    cycles = max(row.cycles_per_frame for row in rows)
    return MappingReport(
        target=config.name,
        mapping=mapping,
        fits=fits,
        cores=config.cores,
        cores_used=used,
        layers=rows,
        host_layers=host,
        total_efficiency=sum(row.efficiency * row.cores for row in rows) / max(used, config.cores),
        cycles_per_frame=cycles,
        effective_tops=throughput_tops(sum(row.weights for row in rows), cycles, config),
    )


def _projection(layer: Lstm, outputs: int, mapping: Mapping) -> LayerDemand:
    name = f"{layer.name}.projection"
    shapes = tuple(
        MatrixShape(
            f"{layer.name}.{direction}.projection.weights",
            name,
            direction,
            "linear",
            outputs,
            layer.cells,
        )
        for direction in directions_of(layer)
    )
    return LayerDemand(name, shapes, mapping)


def _mapped(demand: LayerDemand, kind: str, groups: int, config: AcceleratorConfig) -> MappedLayer:
    cores = demand.cores(groups, config)
    return MappedLayer(
        layer=demand.layer,
        kind=kind,
        cores=cores,
        row_groups=groups,
        efficiency=efficiency(demand.shapes, cores, config),
        weights=sum(shape.rows * shape.columns for shape in demand.shapes),
        cycles_per_frame=demand.pass_cycles(groups, config),
    )
