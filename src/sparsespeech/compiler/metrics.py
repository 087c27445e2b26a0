"""Figures of a compiled program: Table II of the MAU paper (S2), throughput, memory, links.

Axes: N row groups of a task, R row lanes, Q windows.

- *Efficiency* is the share of a core's dense-equivalent weights that the layer uses: rows x
  columns (in whole cycles of loading) over cores x rows x columns of a core. For DeepSpeech of
  2048 on ``mau-stratix10``: 12.5, 25, 50, 100 %, and 80.1 % of the whole grid, as in Table II.
- *Cycles per frame* in streaming are those of the busiest core: for each of its tasks a cycle a
  step or a word of its longest stream, whichever are more, and the loading of its columns unless
  that hides behind them. *Effective throughput* counts two operations for each dense weight on the
  accelerator in that time, as S2's 54.0 TOPS does; those that are multiplied in fact are fewer.
- *Packing ratio* is these cycles a step: 1 is ideal. It is a lower bound of what a run takes, which
  the simulator counts: rows that come late and early in different windows can cost more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_shapes import MatrixShape, matrix_shapes
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.program import Program, Task
from sparsespeech.compiler.stream_graph import LinkLoad, link_loads
from sparsespeech.graph import Layer, Lstm


@dataclass(frozen=True)
class LayerMetrics:
    """A row of Table II, and what it rests on."""

    layer: str
    kind: str  # "fully connected", "bidirectional LSTM", "unidirectional LSTM"
    cores: int
    row_groups: int  # of a direction
    efficiency: float  # 0 to 1
    weights: int  # of the dense layer, without biases
    nonzeros: int
    steps: int  # row groups in the longest pass
    cycles_per_frame: int  # of the layer's busiest core
    packing_ratio: float  # of its worst task


@dataclass(frozen=True)
class ProgramMetrics:
    """What ``Program.metrics()`` tells; every figure follows from the program alone."""

    target: str
    mapping: str
    frequency_mhz: float
    layers: tuple[LayerMetrics, ...]
    cores: int  # of the grid
    cores_used: int
    total_efficiency: float  # of the whole grid
    peak_tops: float
    peak_tops_with_loads: float
    weights: int  # dense, on the accelerator
    nonzeros: int
    cycles_per_frame: int
    effective_tops: float
    real_tops: float  # two operations for each weight that is not zero
    packing_ratio: float  # of all tasks together
    words: int  # weight words stored
    entries_filled: float  # share of the words' entries that hold a weight
    memory_words: int  # that the weight memories of the grid can store
    deepest_stream: int  # words, of AcceleratorConfig.weight_words
    links: tuple[LinkLoad, ...]

    @property
    def memory_used(self) -> float:
        """Share of the weight memories that holds words, 0 to 1."""
        return self.words / self.memory_words

    @property
    def busiest_link(self) -> LinkLoad | None:
        """The link with the most slots taken."""
        return max(self.links, key=lambda link: link.slots, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the derived ones too."""
        busiest = self.busiest_link
        return {
            **asdict(self),
            "memory_used": self.memory_used,
            "busiest_link": asdict(busiest) if busiest else None,
        }


def program_metrics(program: Program) -> ProgramMetrics:
    """The figures of ``program``."""
    config = program.config
    layers = {layer.name: layer for layer in program.model.graph.layers}
    rows = tuple(_layer_metrics(program, layers[name]) for name in program.accelerated)
    weights, nonzeros = sum(row.weights for row in rows), sum(row.nonzeros for row in rows)
    cycles = max(_cycles_of_cores(program, program.tasks).values())
    words = sum(int(task.word_count.sum()) for task in program.tasks)
    steps = sum(program.chains[task.chain].row_groups for task in program.tasks)
    streams = config.cores * config.row_lanes * config.windows
    return ProgramMetrics(
        target=config.name,
        mapping=program.mapping,
        frequency_mhz=config.frequency_mhz,
        layers=rows,
        cores=config.cores,
        cores_used=len({task.core for task in program.tasks}),
        total_efficiency=sum(row.efficiency * row.cores for row in rows) / config.cores,
        peak_tops=config.peak_tops,
        peak_tops_with_loads=config.peak_tops_with_loads,
        weights=weights,
        nonzeros=nonzeros,
        cycles_per_frame=cycles,
        effective_tops=throughput_tops(weights, cycles, config),
        real_tops=throughput_tops(nonzeros, cycles, config),
        packing_ratio=sum(_multiply_cycles(program, task) for task in program.tasks) / steps,
        words=words,
        entries_filled=nonzeros / (words * config.multipliers_per_window),
        memory_words=streams * config.weight_words,
        deepest_stream=_deepest_stream(program),
        links=link_loads(program.streams),
    )


def efficiency(shapes: tuple[MatrixShape, ...], cores: int, config: AcceleratorConfig) -> float:
    """Table II: dense weights of ``shapes`` over those that ``cores`` could hold."""
    padded = sum(
        shape.rows * config.load_cycles(shape.columns) * config.load_bytes for shape in shapes
    )
    return padded / (cores * config.rows * config.columns)


def throughput_tops(weights: int, cycles_per_frame: float, config: AcceleratorConfig) -> float:
    """10^12 operations a second, two a weight, at one frame every ``cycles_per_frame``."""
    return 2 * weights / config.seconds(cycles_per_frame) / 1e12


def _layer_metrics(program: Program, layer: Layer) -> LayerMetrics:
    chains = {
        number: chain for number, chain in enumerate(program.chains) if chain.layer == layer.name
    }
    tasks = tuple(task for task in program.tasks if task.chain in chains)
    shapes = matrix_shapes(layer)
    cores = len({task.core for task in tasks})
    return LayerMetrics(
        layer=layer.name,
        kind=kind_of(layer),
        cores=cores,
        row_groups=1 + max(chain.row_group for chain in chains.values()),
        efficiency=efficiency(shapes, cores, program.config),
        weights=sum(shape.rows * shape.columns for shape in shapes),
        nonzeros=sum(matrix_of(program.model, shape.name).nonzeros for shape in shapes),
        steps=max(chain.row_groups for chain in chains.values()),
        cycles_per_frame=max(_cycles_of_cores(program, tasks).values()),
        packing_ratio=max(
            _multiply_cycles(program, task) / chains[task.chain].row_groups for task in tasks
        ),
    )


def kind_of(layer: Layer) -> str:
    """What Table II calls a layer."""
    if isinstance(layer, Lstm):
        return "bidirectional LSTM" if layer.bidirectional else "unidirectional LSTM"
    return "fully connected"


def _cycles_of_cores(program: Program, tasks: tuple[Task, ...]) -> dict[int, int]:
    """Cycles of each core for one frame of each of its tasks."""
    config = program.config
    cycles: Counter[int] = Counter()
    for task in tasks:
        load = config.load_cycles(task.columns[1] - task.columns[0])
        multiply = _multiply_cycles(program, task)
        cycles[task.core] += max(load, multiply) if config.double_buffered else load + multiply
    return dict(cycles)


def _multiply_cycles(program: Program, task: Task) -> int:
    """One row group and one word a cycle at most."""
    return max(program.chains[task.chain].row_groups, int(task.word_count.max()))


def _deepest_stream(program: Program) -> int:
    config = program.config
    depth = np.zeros((config.cores, config.row_lanes, config.windows), dtype=np.int64)
    for task in program.tasks:
        depth[task.core] += task.word_count
    return int(depth.max())
