"""The addresses by which a host reaches an accelerator: one window, shaped like a PCIe BAR.

The MAU paper (S2) says no more than that input and output lie in "PCIe addressable memory"; this
layout is a choice of ours, for hardware to follow. The simulator has no addresses: its driver
pushes frames, reads outputs and reads counters, which are the rings and the counters below.

The window is a row of regions, a region a row of equal entries (one a site, a core, a task ...),
and some entries have fields. Every size follows from the configuration, for any that is legal.

Axes: C cores, R row lanes, Q windows, S slots of the wheel. All sizes are bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sparsespeech.accelerator_config import AcceleratorConfig, StageDepths
from sparsespeech.integer_arithmetic.lookup_tables import SEGMENTS

PAGE_BYTES = 4096
RING_BYTES = 64 * 1024
WORD_BYTES = 8  # the host reads and writes words of 64 bits, so each field begins with one
NAME_BYTES = 4 * 80  # 80 signs of UTF-8
TABLE_BYTES = 2 * (2 * SEGMENTS + 1)  # R6: bases and slopes, 16 bits each
HALF_ROUTE_BYTES = 4  # of a site in one slot: the input that each of up to 6 outputs repeats
HEADER_BYTES = 64  # of a task
SEGMENT_BYTES = 16  # first activation of the stream's frame (8), column of the task (4), count (4)
PORT_ENTRY_BYTES = 2  # 0: nothing is taken in this slot; else 1 + a number of at most S
FRAME_SOURCES = 2  # streams of frames that a core sends: forward and backward of a sequence
CONTROL_SOURCES = 2  # credits, order
TASKS_OF_CORE = 2  # both directions of an LSTM
THRESHOLDS = 4
COUNTERS_OF_CORE = 7  # multiply, row limit, stall, load, drain, recurrence, idle


@dataclass(frozen=True)
class Field:
    """Bytes ``offset`` to just before ``offset + size`` of each entry of a region."""

    name: str
    offset: int
    size: int
    content: str


@dataclass(frozen=True)
class Region:
    """Addresses ``offset`` to just before ``offset + size`` of the window."""

    name: str
    offset: int
    size: int  # whole pages
    access: str  # of the host: "read", "write" or "both"
    content: str
    entries: int
    entry_bytes: int
    fields: tuple[Field, ...] = ()

    @property
    def stop(self) -> int:
        """First address behind the region."""
        return self.offset + self.size

    def address(self, entry: int, field: str | None = None) -> int:
        """Of an entry, or of a field of it; KeyError for a field or an entry that is not there."""
        if not 0 <= entry < self.entries:
            raise KeyError(f"{self.name} has entries 0 to {self.entries - 1}, got {entry}")
        start = self.offset + entry * self.entry_bytes
        if field is None:
            return start
        return start + {one.name: one.offset for one in self.fields}[field]


def host_window(config: AcceleratorConfig) -> tuple[Region, ...]:
    """The regions of ``config`` in the order of their addresses; each begins on a page."""
    sites = config.grid_rows * config.grid_columns
    words = config.cores * config.row_lanes * config.windows * config.weight_words
    counted = "cycles; of a core: multiply, row limit, stall, load, drain, recurrence, idle"
    window = _Window()
    window.add("identity", "read", _identity_fields(), "every parameter of the configuration")
    window.add("control", "both", 64, "reset, run, doorbells of the rings, status, interrupt")
    window.add("counters", "read", WORD_BYTES, counted, 1 + COUNTERS_OF_CORE * config.cores)
    window.add("tables", "write", TABLE_BYTES, "sigmoid and tanh (R6)")
    window.add(
        "routes", "write", _route_fields(config), "a site: which input each output repeats", sites
    )
    window.add(
        "ports",
        "write",
        _port_fields(config),
        "a core, at last the host: slots, credits",
        config.cores + 1,
    )
    window.add(
        "tasks",
        "write",
        _task_fields(config),
        "two a core: streams of words, segments",
        TASKS_OF_CORE * config.cores,
    )
    window.add(  # as many rows as weight words, see allocate_cores: 32 + 16 + 6 bits each
        "tails", "write", WORD_BYTES, "a row: bias, multiplier, shift", config.cores * config.rows
    )
    window.add("input ring", "write", RING_BYTES, "frames to the first layer, with heads")
    window.add(
        "output ring", "read", RING_BYTES, "activations of the last layer, when sent, when back"
    )
    window.add("weights", "write", word_bytes(config), "weight words", words)
    return tuple(window.regions)


def window_bytes(config: AcceleratorConfig) -> int:
    """Size of the window: a power of two, as a BAR has to be."""
    return 1 << (host_window(config)[-1].stop - 1).bit_length()


def word_bytes(config: AcceleratorConfig) -> int:
    """Of one weight word, in whole words of the host."""
    return _whole_words(math.ceil(config.word_bits / 8))


def start_bytes(config: AcceleratorConfig) -> int:
    """Of the address of a task's first word in the memory of one row lane and window."""
    return _whole_bytes(config.weight_words - 1)


def count_bytes(config: AcceleratorConfig) -> int:
    """Of the number of a task's words there: all of them at most."""
    return _whole_bytes(config.weight_words)


def mask_bytes(config: AcceleratorConfig) -> int:
    """Of one bit a slot."""
    return math.ceil(config.slots / 8)


class _Window:
    """Regions behind each other."""

    def __init__(self) -> None:
        self.regions: list[Region] = []

    def add(
        self,
        name: str,
        access: str,
        entry: int | Sequence[Field],
        content: str,
        entries: int = 1,
    ) -> None:
        """``entry``: its size, or its fields."""
        parts = () if isinstance(entry, int) else tuple(entry)
        size = entry if isinstance(entry, int) else parts[-1].offset + parts[-1].size
        offset = self.regions[-1].stop if self.regions else 0
        pages = math.ceil(size * entries / PAGE_BYTES)
        self.regions.append(
            Region(name, offset, pages * PAGE_BYTES, access, content, entries, size, parts)
        )


def _fields(parts: Sequence[tuple[str, int, str]]) -> tuple[Field, ...]:
    """``parts`` (name, bytes, content) behind each other, each in whole words."""
    found: list[Field] = []
    offset = 0
    for name, size, content in parts:
        found.append(Field(name, offset, _whole_words(size), content))
        offset += found[-1].size
    return tuple(found)


def _identity_fields() -> tuple[Field, ...]:
    names = [entry.name for kind in (AcceleratorConfig, StageDepths) for entry in fields(kind)]
    numbers = len(names) - len(("name", "device", "stages"))
    return _fields(
        [
            ("version", 2 * WORD_BYTES, "magic number, version of this map"),
            ("names", 2 * NAME_BYTES, "name, device"),
            ("parameters", WORD_BYTES * numbers, "every parameter, in the order of the fields"),
        ]
    )


def _route_fields(config: AcceleratorConfig) -> tuple[Field, ...]:
    table = HALF_ROUTE_BYTES * config.slots
    return _fields(
        [
            ("frames", table, "a slot: the input that each side, the core and its heads repeat"),
            ("control", table, "a slot: the input that each side and the core repeat"),
        ]
    )


def _port_fields(config: AcceleratorConfig) -> tuple[Field, ...]:
    """What a port needs to know: when it may send, what comes when, and when it has to wait."""
    mask, table = mask_bytes(config), PORT_ENTRY_BYTES * config.slots
    return _fields(
        [
            ("frame slots", FRAME_SOURCES * mask, "in which results, or a sequence's frames, go"),
            ("control slots", CONTROL_SOURCES * mask, "in which credits and orders are put on"),
            ("frames", table, "a slot: the stream that is taken, as tasks number them"),
            ("heads", mask, "slots in which heads of frames are taken"),
            ("credits", table, "a slot: an order, or the counter whose credit arrives"),
            ("consumers", FRAME_SOURCES * mask, "counters that each stream of frames waits for"),
            (
                "thresholds",
                THRESHOLDS * WORD_BYTES,
                "staging frames, chain FIFO, frames of results, places of the sequence memory",
            ),
        ]
    )


def _task_fields(config: AcceleratorConfig) -> tuple[Field, ...]:
    streams = config.row_lanes * config.windows
    return _fields(
        [
            (
                "header",
                HEADER_BYTES,
                "role, direction, position, neighbours, columns, steps, clamp",
            ),
            ("first words", streams * start_bytes(config), "a row lane, a window"),
            ("words", streams * count_bytes(config), "a row lane, a window"),
            # A stream that is taken has a slot, so there are S at most, each with one segment.
            ("segments", SEGMENT_BYTES * config.slots, "a stream: first, column, count"),
        ]
    )


def _whole_bytes(value: int) -> int:
    return max(1, math.ceil(value.bit_length() / 8))


def _whole_words(size: int) -> int:
    return WORD_BYTES * math.ceil(size / WORD_BYTES)
