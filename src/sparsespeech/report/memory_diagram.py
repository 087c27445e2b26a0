"""The picture of all addresses: the host's window, and the memories of one core.

R row lanes, Q windows, W columns of a window, N row groups (steps) of a core.
"""

from __future__ import annotations

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.host_window import Region, host_window, window_bytes
from sparsespeech.compiler.program import Program
from sparsespeech.report.diagram import Diagram, tint
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE

SIZE = (1100, 600)
_ACCESS = {"read": GREEN, "write": BLUE, "both": ORANGE}
_SHARES = (BLUE, ORANGE)  # of the tasks of a core


def paint_memory(diagram: Diagram, program: Program) -> None:
    """Fill a diagram of :data:`SIZE`; the core shown is the fullest of ``program``."""
    _paint_window(diagram, program.config)
    _paint_core(diagram, program)


def bytes_text(count: float) -> str:
    """A size in the largest unit that leaves 1 or more."""
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def _paint_window(diagram: Diagram, config: AcceleratorConfig) -> None:
    diagram.text((20, 26), "Host window", points=14, bold=True, align="left")
    diagram.note(
        (20, 48),
        f"{bytes_text(window_bytes(config))} behind a PCIe base address register; not to scale",
        align="left",
    )
    regions = host_window(config)
    height = 40.0
    for number, region in enumerate(regions):
        y = 72 + (height + 6) * number
        fill = tint(_ACCESS[region.access], 0.22)
        diagram.text((92, y + height / 2), f"0x{region.offset:07x}", points=7.5, align="right",
                     family="monospace")  # fmt: skip
        diagram.box((100, y), (96, height), region.name, fill=fill, round_by=2, bold=True)
        diagram.text((206, y + 13), _size_and_access(region), points=8, align="left")
        diagram.note((206, y + 29), region.content, points=7.5, align="left")


def _size_and_access(region: Region) -> str:
    words = {"read": "host reads", "write": "host writes", "both": "host reads and writes"}
    return f"{bytes_text(region.size)}, {words[region.access]}"


def _paint_core(diagram: Diagram, program: Program) -> None:
    config = program.config
    core = fullest_core(program)
    row, column = program.places[core]
    tasks = [task for task in program.tasks if task.core == core]
    names = " and ".join(program.chains[task.chain].name for task in tasks)
    diagram.text((600, 26), "Memories of a core", points=14, bold=True, align="left")
    diagram.note((600, 48), f"core {core} at site ({row}, {column}): {names}", align="left")
    streams = config.row_lanes * config.windows
    total = streams * config.weight_words * config.word_bits / 8
    diagram.text(
        (600, 82),
        f"Weights: {streams} memories of {config.weight_words:,} words, {config.word_bits} bits, "
        f"together {bytes_text(total)}",
        align="left",
        points=8.5,
    )
    _paint_weights(diagram, program, core)
    lines = memories_of_a_core(config)
    for number, (name, size, text) in enumerate(lines):
        y = 372 + 31 * number
        diagram.box((600, y), (122, 25), name, fill=tint(BLUE, 0.16), round_by=2, points=8)
        diagram.text((732, y + 12), size, align="left", points=8)
        diagram.note((806, y + 12), text, align="left", points=7.5)


def memories_of_a_core(config: AcceleratorConfig) -> list[tuple[str, str, str]]:
    """Name, size and organisation of what lies beside the weights."""
    windows = config.row_lanes * config.windows
    banks = 2 if config.double_buffered else 1
    store = config.window_columns * config.activation_bits * banks
    sum_bits = window_sum_bits(config)
    chain_bits = config.chain_fifo * config.row_lanes * config.partial_sum_bits
    cells = config.rows // 4
    return [
        (
            "activation stores",
            bytes_text(config.multipliers * store / 8),
            f"{config.multipliers} copies of {config.window_columns} x {config.activation_bits} "
            "bits, one a multiplier",
        ),
        (
            "staging",
            bytes_text(config.staging_frames * config.columns * config.activation_bits / 8),
            f"{config.staging_frames} frames of {config.columns:,}",
        ),
        (
            "window FIFOs",
            bytes_text(windows * config.window_fifo * sum_bits / 8),
            f"{windows} x {config.window_fifo} sums of {sum_bits} bits",
        ),
        (
            "chain FIFO",
            bytes_text(chain_bits / 8),
            f"{config.chain_fifo} x {config.row_lanes} sums of {config.partial_sum_bits} bits",
        ),
        (
            "tail rows",
            bytes_text(8 * config.rows),
            f"{config.rows:,} x bias, multiplier, shift",
        ),
        (
            "cell states",
            bytes_text(2 * cells * config.contexts),
            f"{cells:,} cells x {config.contexts} utterances, 16 bits",
        ),
        (
            "sequence",
            bytes_text(config.sequence_bytes),
            "frames of utterances, all last linear tails together",
        ),
    ]


def window_sum_bits(config: AcceleratorConfig) -> int:
    """Bits of the sum of a window whose every column has the largest weight and activation."""
    largest = config.window_columns << (config.weight_bits - 1)
    return (largest * ((1 << config.activation_bits) - 1)).bit_length() + 1


def fullest_core(program: Program) -> int:
    """The core whose longest stream has most words."""
    words = dict.fromkeys((task.core for task in program.tasks), 0)
    for task in program.tasks:
        words[task.core] += int(task.word_count.max())
    return max(words, key=lambda core: words[core])


def _paint_weights(diagram: Diagram, program: Program, core: int) -> None:
    """One bar a row lane and window, filled by the words of each task."""
    config = program.config
    left, top, width, height = 600.0, 100.0, 470.0, 218.0
    pitch = width / (config.row_lanes * config.windows + config.row_lanes - 1)
    tasks = [task for task in program.tasks if task.core == core]
    for lane in range(config.row_lanes):
        for window in range(config.windows):
            x = left + pitch * (lane * (config.windows + 1) + window)
            corner, extent = (x, top), (pitch * 0.8, height)
            diagram.box(corner, extent, fill="#f3f3f5", edge=GREY, width=0.3, round_by=0)
            for number, task in enumerate(tasks):
                start = int(task.word_start[lane, window]) / config.weight_words * height
                count = int(task.word_count[lane, window]) / config.weight_words * height
                colour = _SHARES[number % 2]
                diagram.box(
                    (x, top + start),
                    (pitch * 0.8, count),
                    fill=tint(colour, 0.6),
                    edge=colour,
                    width=0.3,
                    round_by=0,
                )
        center = left + pitch * (lane * (config.windows + 1) + config.windows / 2)
        diagram.note(
            (center, top + height + 12), f"lane {lane}: {config.windows} windows", points=7.5
        )
    diagram.note((left - 6, top + 4), "word 0", align="right", points=7)
    diagram.note(
        (left - 6, top + height - 4), f"{config.weight_words - 1:,}", align="right", points=7
    )
    for number, task in enumerate(tasks):
        x = left + 240 * number
        diagram.box(
            (x, top + height + 28), (14, 10), fill=tint(_SHARES[number % 2], 0.6), round_by=2
        )
        diagram.note((x + 20, top + height + 33), program.chains[task.chain].name, align="left")
