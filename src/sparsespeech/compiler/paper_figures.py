"""The arithmetic of the MAU paper (S2), each printed figure computed again from what it rests on.

``docs/paper-arithmetic.md`` shows these figures; a test compares page and functions. ``peers`` are
the CPU and GPU columns of Tables IV to VI. An operation is a multiplication or an addition, two a
weight of the dense matrix; *effective* ones count the weights that are zero too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Literal

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.latency_model import (
    FRAMES_OF_A_SECOND,
    PAPER_BUBBLE_CYCLES,
    estimate_latency,
    mau_paper_estimate,
)
from sparsespeech.compiler.layer_demand import layer_demand
from sparsespeech.compiler.layer_shapes import matrix_shapes
from sparsespeech.compiler.mapping_report import map_graph
from sparsespeech.compiler.metrics import throughput_tops
from sparsespeech.graph import Linear, Lstm, deepspeech
from sparsespeech.model_file.statistics import count_parameters

MAU = TARGETS["mau-stratix10"]
NETWORK = deepspeech(2048)
DEEPBENCH_SHAPE = (7680, 2560)
DEEPBENCH_DENSITY = 0.05

# As printed in Tables IV, V and VI: TOPS, watts, milliseconds.
PRINTED_TOPS = {"mau": 54.0, "cpu": 0.327, "gpu": 53.37}
PRINTED_WATTS = {"mau": 34.9, "cpu": 220.0, "gpu": 216.0}
PRINTED_MILLISECONDS = {"mau": 0.343, "cpu": 349.0, "gpu": 10.1}
PRINTED_DEEPBENCH_TOPS = {"mau": 2.35, "gpu": 1.88}

Agreement = Literal["rounded", "truncated", "no", "not printed"]


@dataclass(frozen=True)
class PaperFigure:
    """``computed`` is ours; ``printed`` is what the paper shows, "" where it shows nothing."""

    name: str
    computed: float
    unit: str
    printed: str = ""
    digits: int = 2  # behind the point, as the page shows ``computed``

    @property
    def shown(self) -> str:
        """``computed`` with thousands separated, as it stands on the page."""
        return f"{self.computed:,.{self.digits}f}"

    @property
    def agreement(self) -> Agreement:
        """Whether the printed digits are those of ``computed``, and how they were cut."""
        if not self.printed:
            return "not printed"
        printed = Decimal(self.printed)
        # 12 digits: a half that binary fractions cannot hold still rounds up.
        value = Decimal(repr(round(self.computed, 12)))
        if value.quantize(printed, ROUND_HALF_UP) == printed:
            return "rounded"
        if value.quantize(printed, ROUND_DOWN) == printed:
            return "truncated"
        return "no"


def paper_figures() -> tuple[PaperFigure, ...]:
    """All figures in the order of the page."""
    return (
        *headline_figures(),
        *table_1(),
        *table_2(),
        *table_4(),
        *table_5(),
        *latency_figures(),
        *table_6(),
    )


def headline_figures() -> tuple[PaperFigure, ...]:
    """Section IV: what a core and the grid of 34 could do at most."""
    core = 2 * MAU.multipliers * MAU.compression / 1e3
    link = MAU.row_lanes * MAU.partial_sum_bits / 8 * MAU.frequency_mhz / 1e3
    capacity = MAU.cores * MAU.multipliers * MAU.weight_words / 1e6
    return (
        PaperFigure("core_gops_per_mhz", core, "GOPS/MHz", "8.192", 3),
        PaperFigure("peak_tops", MAU.peak_tops, "TOPS", "69.6", 3),
        PaperFigure("peak_tops_with_loads", MAU.peak_tops_with_loads, "TOPS", "67.5", 3),
        PaperFigure("link_gbytes_per_second", link, "GB/s", "3.3"),
        PaperFigure("multipliers", MAU.cores * MAU.multipliers, "", digits=0),
        PaperFigure("nonzero_capacity", capacity, "million nonzeros"),
    )


def table_1() -> tuple[PaperFigure, ...]:
    """Parameters in millions; each direction of the LSTM has two bias vectors, as in torch."""
    printed = ("1.01", "4.20", "8.39", "100.70", "8.39", "0.06")
    rows = [
        PaperFigure(f"table_1_{layer.name}", count_parameters(layer) / 1e6, "M", text, 3)
        for layer, text in zip(NETWORK.layers, printed, strict=True)
    ]
    total = count_parameters(NETWORK)
    second_biases = sum(
        (2 if layer.bidirectional else 1) * 4 * layer.cells
        for layer in NETWORK.layers
        if isinstance(layer, Lstm)
    )
    return (
        *rows,
        PaperFigure("table_1_total", total / 1e6, "M", "122.75", 3),
        PaperFigure("table_1_total_one_bias", (total - second_biases) / 1e6, "M", "122.75", 3),
    )


def table_2() -> tuple[PaperFigure, ...]:
    """Efficiency of the cores of each layer in per cent, columns in whole cycles of loading."""
    report = map_graph(NETWORK, MAU, "paper")
    printed = (("2", "12.5"), ("4", "25"), ("4", "50"), ("24", "100"))
    rows: list[PaperFigure] = []
    for layer, (cores, share) in zip(report.layers, printed, strict=True):
        rows.append(PaperFigure(f"table_2_{layer.layer}_cores", layer.cores, "cores", cores, 0))
        percent = 100 * layer.efficiency
        rows.append(PaperFigure(f"table_2_{layer.layer}", percent, "%", share))
    first = report.layers[0]
    unpadded = 100 * first.weights / (first.cores * MAU.rows * MAU.columns)
    used = 100 * accelerated_weights() / (MAU.cores * MAU.rows * MAU.columns)
    return (
        *rows,
        PaperFigure("table_2_cores", report.cores_used, "cores", "34", 0),
        PaperFigure("table_2_total", 100 * report.total_efficiency, "%", "80.1"),
        PaperFigure("table_2_layer1_without_padding", unpadded, "%", "12.5"),
        PaperFigure("table_2_total_without_padding", used, "%", "80.1"),
    )


def table_4() -> tuple[PaperFigure, ...]:
    """Throughput of a stream of frames from independent utterances, and energy."""
    tops, watts = PRINTED_TOPS, PRINTED_WATTS
    per_watt = {name: 1e3 * tops[name] / watts[name] for name in tops}
    return (
        PaperFigure("accelerated_weights", accelerated_weights() / 1e6, "M"),
        PaperFigure("streaming_tops", streaming_tops(), "TOPS", "54.0"),
        PaperFigure("mau_gops_per_watt", per_watt["mau"], "GOPS/W", "1547", 1),
        PaperFigure("cpu_gops_per_watt", per_watt["cpu"], "GOPS/W", "1.4"),
        PaperFigure("gpu_gops_per_watt", per_watt["gpu"], "GOPS/W", "247", 1),
        PaperFigure("throughput_over_cpu", tops["mau"] / tops["cpu"], "times", "165", 1),
        PaperFigure("per_watt_over_gpu", per_watt["mau"] / per_watt["gpu"], "times", "6"),
        PaperFigure("per_watt_over_cpu", per_watt["mau"] / per_watt["cpu"], "times", digits=0),
    )


def table_5() -> tuple[PaperFigure, ...]:
    """Operations of a second of speech over its latency, which the MAU column does not show."""
    printed = {"cpu": "0.032", "gpu": "1.12", "mau": "54.0"}
    rows = [
        PaperFigure(f"{name}_latency_tops", latency_tops(name), "TOPS", text, 4)
        for name, text in printed.items()
    ]
    milliseconds = PRINTED_MILLISECONDS
    return (
        *rows,
        PaperFigure(
            "latency_over_cpu", milliseconds["cpu"] / milliseconds["mau"], "times", digits=0
        ),
        PaperFigure("latency_over_gpu", milliseconds["gpu"] / milliseconds["mau"], "times", "29"),
    )


def latency_figures() -> tuple[PaperFigure, ...]:
    """0.343 ms from the closed form, its parts, and what other readings would give."""
    estimate = mau_paper_estimate()
    names = ("layer1", "layer2", "layer3", "layer4")
    passes = [
        PaperFigure(f"{name}_pass", step.total, "cycles", digits=0)
        for name, step in zip(names, estimate.passes, strict=True)
    ]
    lowest, highest = bubble_band()
    interleaved = mau_paper_estimate("interleaved")
    return (
        *passes,
        PaperFigure("bubble", PAPER_BUBBLE_CYCLES, "cycles", digits=0),
        PaperFigure("prefix_cycles", estimate.prefix_cycles, "cycles", digits=0),
        PaperFigure("latency_cycles", estimate.cycles, "cycles", digits=0),
        PaperFigure("latency_ms", 1e3 * estimate.seconds, "ms", "0.343", 4),
        PaperFigure("bubble_lowest", lowest, "cycles", digits=1),
        PaperFigure("bubble_highest", highest, "cycles", digits=1),
        PaperFigure("bubble_without_wait", bubble_without_wait(), "cycles", digits=1),
        PaperFigure("unfolded_ms", 1e3 * MAU.seconds(unfolded_cycles()), "ms", "0.343", 4),
        PaperFigure("interleaved_cycles", interleaved.cycles, "cycles", digits=0),
        PaperFigure("interleaved_ms", 1e3 * interleaved.seconds, "ms", digits=4),
    )


def table_6() -> tuple[PaperFigure, ...]:
    """DeepBench: what 2.35 TOPS say about cycles, and which grids come near."""
    rows, columns = DEEPBENCH_SHAPE
    tops = PRINTED_DEEPBENCH_TOPS
    nonzeros = DEEPBENCH_DENSITY * rows * columns
    implied = 2 * nonzeros / (tops["mau"] * 1e12) * MAU.frequency_mhz * 1e6
    return (
        PaperFigure("deepbench_nonzeros", nonzeros, "nonzeros", digits=0),
        PaperFigure("deepbench_effective_tops", tops["mau"] / DEEPBENCH_DENSITY, "TOPS", "47", 1),
        PaperFigure(
            "deepbench_gpu_effective_tops", tops["gpu"] / DEEPBENCH_DENSITY, "TOPS", "37.6", 1
        ),
        PaperFigure("deepbench_cycles_implied", implied, "cycles", digits=1),
        *(
            PaperFigure(f"deepbench_{cores}_cores_tops", deepbench_tops(cores), "TOPS", "2.35")
            for cores in (27, 30, 33)
        ),
        PaperFigure(
            "deepbench_33_cores_full_load_tops", deepbench_tops(33, columns=1024), "TOPS", "2.35"
        ),
    )


def accelerated_weights() -> int:
    """Dense weights of layers 1 to 4, without biases."""
    shapes = [shape for layer in NETWORK.layers[:4] for shape in matrix_shapes(layer)]
    return sum(shape.rows * shape.columns for shape in shapes)


def streaming_tops() -> float:
    """Table IV: the LSTM's cores take a frame every 1024 + 32 cycles, and none of them waits."""
    return throughput_tops(accelerated_weights(), MAU.weight_words + MAU.load_cycles(1024), MAU)


def latency_tops(machine: str) -> float:
    """Table V by its own latencies: 50 frames through layers 1 to 4, one utterance alone."""
    operations = 2 * accelerated_weights() * FRAMES_OF_A_SECOND
    return operations / (PRINTED_MILLISECONDS[machine] / 1e3) / 1e12


def bubble_band() -> tuple[float, float]:
    """The waits a step that the three digits of 0.343 ms leave room for."""
    low, high = (
        _bubble_of(
            1e-3 * milliseconds * MAU.frequency_mhz * 1e6, mau_paper_estimate().prefix_cycles
        )
        for milliseconds in (0.3425, 0.3435)
    )
    return low, high


def bubble_without_wait() -> float:
    """The wait a step that 0.343 ms would mean if the backward LSTM did not wait for the end."""
    first_frame = sum(step.total for step in mau_paper_estimate().passes[:3])
    return _bubble_of(mau_paper_estimate().cycles, first_frame)


def unfolded_cycles() -> int:
    """The closed form with layer 1 as our cores run it, a cycle for every 4 rows."""
    groups = {layer.layer: layer.row_groups for layer in map_graph(NETWORK, MAU, "paper").layers}
    demands = tuple(layer_demand(layer, "paper") for layer in NETWORK.layers[:4])
    estimate = estimate_latency(demands, groups, MAU, FRAMES_OF_A_SECOND, narrow_rows_fold=False)
    return estimate.cycles


def deepbench_tops(cores: int, columns: int | None = None) -> float:
    """Table VI with ``cores`` in chains of three, a word a row, and loads that do not hide.

    ``columns`` are those that a core loads, a third of the matrix unless given.
    """
    rows, all_columns = DEEPBENCH_SHAPE
    demand = layer_demand(Linear("product", all_columns, rows), "paper")
    groups = cores // demand.cores(1, MAU)
    load = demand.load_cycles(MAU) if columns is None else MAU.load_cycles(columns)
    cycles = math.ceil(demand.steps(MAU) / groups) + load
    return throughput_tops(round(DEEPBENCH_DENSITY * rows * all_columns), cycles, MAU)


def _bubble_of(cycles: float, before: int) -> float:
    """What is left of each step when prefix, load and multiplying are taken away."""
    step = mau_paper_estimate().passes[-1].total
    return (cycles - before) / FRAMES_OF_A_SECOND - step
