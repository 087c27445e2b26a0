"""The addresses by which a host reaches an accelerator: one window, shaped like a PCIe BAR.

The MAU paper (S2) says no more than that input and output lie in "PCIe addressable memory"; this
layout is a choice of ours, for hardware to follow. The simulator has no addresses: its driver
pushes frames, reads outputs and reads counters, which are the rings and the counters below.

Axes: C cores, R row lanes, Q windows, S sites of the grid. All sizes are bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig

PAGE_BYTES = 4096
RING_BYTES = 64 * 1024
WORD_BYTES = 8  # of a weight word or a tail row; counters too
ROUTE_BYTES = 4  # of one site in one slot: for each output the input that it repeats
TASK_BYTES = 256  # first word and number of words of a task's streams, its segments, its role
COUNTERS_OF_CORE = 6  # multiply, stall, load, drain, recurrence, idle
TABLE_BYTES = 512  # sigmoid: bases and slopes of 64 segments (R6)


@dataclass(frozen=True)
class Region:
    """Addresses ``offset`` to just before ``offset + size`` of the window."""

    name: str
    offset: int
    size: int
    access: str  # of the host: "read", "write" or "both"
    content: str

    @property
    def stop(self) -> int:
        """First address behind the region."""
        return self.offset + self.size


def host_window(config: AcceleratorConfig) -> tuple[Region, ...]:
    """The regions of ``config`` in the order of their addresses; each begins on a page."""
    sites = config.grid_rows * config.grid_columns
    rows = config.cores * config.rows
    streams = config.cores * config.row_lanes * config.windows
    contents = (
        ("identity", 64, "read", "magic number, version, every parameter of the configuration"),
        ("control", 64, "both", "reset, run, doorbells of the rings, status, interrupt"),
        (
            "counters",
            WORD_BYTES * (1 + COUNTERS_OF_CORE * config.cores),
            "read",
            "cycles; of each core: multiply, stall, load, drain, recurrence, idle",
        ),
        ("tables", TABLE_BYTES, "write", "sigmoid and tanh (R6)"),
        (
            "routes",
            2 * ROUTE_BYTES * sites * config.slots,
            "write",
            "a site, a slot: frames, control",
        ),
        ("tasks", 2 * TASK_BYTES * config.cores, "write", "two a core: streams of words, segments"),
        ("tails", WORD_BYTES * rows, "write", "a row: bias, multiplier, shift"),
        ("input ring", RING_BYTES, "write", "frames to the first layer"),
        ("output ring", RING_BYTES, "read", "activations of the last accelerated layer"),
        ("weights", WORD_BYTES * streams * config.weight_words, "write", "weight words"),
    )
    regions: list[Region] = []
    offset = 0
    for name, needed, access, content in contents:
        size = math.ceil(needed / PAGE_BYTES) * PAGE_BYTES
        regions.append(Region(name, offset, size, access, content))
        offset += size
    return tuple(regions)


def window_bytes(config: AcceleratorConfig) -> int:
    """Size of the window: a power of two, as a BAR has to be."""
    return 1 << (host_window(config)[-1].stop - 1).bit_length()
