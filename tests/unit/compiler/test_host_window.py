"""The host window: regions, entries and fields that never overlap and hold what they must."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig, StageDepths
from sparsespeech.compiler.host_window import (
    PAGE_BYTES,
    Region,
    count_bytes,
    host_window,
    mask_bytes,
    start_bytes,
    window_bytes,
)
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import HOST, Mapping, Program
from sparsespeech.integer_arithmetic.fixed_point import MULTIPLIER_LIMIT, SHIFT_MAXIMUM
from sparsespeech.report.memory_diagram import bytes_text
from tests.compiled_programs import GRID, small_model

MAU = TARGETS["mau-stratix10"]


@st.composite
def configs(draw: st.DrawFn) -> AcceleratorConfig:
    """Any legal one."""

    def power(most: int) -> int:
        return 1 << draw(st.integers(0, most))

    rows, columns = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    lanes = 4 * draw(st.integers(1, 16))
    windows = power((4096 // lanes).bit_length() - 1)
    load, activations = power(4), power(10)
    activation_bits = draw(st.integers(1, min(16, 65_536 // activations)))
    sum_bits = draw(st.integers(1, 62))
    fewest = max(lanes * sum_bits, activations * activation_bits)
    return AcceleratorConfig(
        name=draw(st.sampled_from(["x", "\u00e4" * 80])),
        device="any",
        grid_rows=rows,
        grid_columns=columns,
        cores=draw(st.integers(1, rows * columns)),
        row_lanes=lanes,
        windows=windows,
        multipliers_per_window=draw(st.integers(1, 64)),
        window_columns=max(load, power(16)),
        load_word_bytes=load,
        weight_words=draw(st.one_of(st.integers(1, 2**20), st.sampled_from([2**8, 2**16, 2**20]))),
        weight_bits=draw(st.integers(1, 16)),
        activation_bits=activation_bits,
        partial_sum_bits=sum_bits,
        staging_frames=draw(st.integers(2, 1024)),
        flit_activations=activations,
        flit_bits=draw(st.integers(fewest, 65_536)),
        slots=power(8),
    )


def region(config: AcceleratorConfig, name: str) -> Region:
    return next(one for one in host_window(config) if one.name == name)


@given(configs())
def test_no_address_is_given_out_twice(config: AcceleratorConfig) -> None:
    regions = host_window(config)
    assert regions[0].offset == 0
    for one, following in pairwise(regions):
        assert one.stop == following.offset
    for one in regions:
        assert one.offset % PAGE_BYTES == 0
        assert one.access in ("read", "write", "both")
        assert 0 < one.entries * one.entry_bytes <= one.size
        assert one.size % PAGE_BYTES == 0
        ends = [0, *(part.offset + part.size for part in one.fields)]
        for part, end in zip(one.fields, ends[:-1], strict=True):
            assert part.offset >= end
            assert part.offset % 8 == 0
            assert part.size > 0
        assert ends[-1] <= one.entry_bytes
        assert one.address(one.entries - 1) + one.entry_bytes <= one.stop
    assert len({one.name for one in regions}) == len(regions)
    size, used = window_bytes(config), regions[-1].stop
    assert size & (size - 1) == 0
    assert size // 2 < used <= size


@given(configs())
def test_everything_that_a_configuration_can_hold_has_room(config: AcceleratorConfig) -> None:
    streams = config.row_lanes * config.windows
    tasks, ports, routes = (region(config, name) for name in ("tasks", "ports", "routes"))
    sizes = {part.name: part.size for one in (tasks, ports, routes) for part in one.fields}
    assert tasks.entries == 2 * config.cores
    assert sizes["first words"] * 8 >= streams * (config.weight_words - 1).bit_length()
    assert sizes["words"] * 8 >= streams * config.weight_words.bit_length()
    assert sizes["segments"] >= 16 * config.slots
    assert ports.entries == config.cores + 1
    for name, bits in (("frame slots", 2), ("control slots", 2), ("heads", 1), ("consumers", 2)):
        assert sizes[name] * 8 >= bits * config.slots
    for part in ports.fields:
        if part.name in ("frames", "credits"):
            assert part.size * 8 >= config.slots * (config.slots + 1).bit_length()
    assert routes.entries == config.grid_rows * config.grid_columns
    for part in routes.fields:  # a side is one of five inputs or none: 3 bits; six outputs
        assert part.size * 8 >= config.slots * 6 * 3
    assert region(config, "weights").size * 8 >= config.weight_memory_bits
    weights = region(config, "weights")
    assert weights.entries == config.cores * streams * config.weight_words
    assert weights.entry_bytes * 8 >= config.word_bits
    assert region(config, "tails").entries == config.cores * config.rows
    assert region(config, "tails").entry_bytes * 8 >= (
        32 + (MULTIPLIER_LIMIT - 1).bit_length() + SHIFT_MAXIMUM.bit_length()
    )
    assert region(config, "counters").entries == 1 + 7 * config.cores
    identity = {part.name: part.size for part in region(config, "identity").fields}
    assert identity["names"] >= len(f"{config.name:80}{config.device:80}".encode())
    numbers = len(fields(AcceleratorConfig)) + len(fields(StageDepths)) - 3
    assert identity["parameters"] == 8 * numbers


def test_addresses_of_entries_and_fields() -> None:
    tasks = region(MAU, "tasks")
    words = next(part for part in tasks.fields if part.name == "words")
    assert tasks.address(3, "words") == tasks.offset + 3 * tasks.entry_bytes + words.offset
    assert tasks.address(3) + tasks.entry_bytes == tasks.address(4)
    for entry in (-1, 2 * MAU.cores):
        with pytest.raises(KeyError, match=r"tasks has entries 0 to 67"):
            tasks.address(entry)
    with pytest.raises(KeyError):
        tasks.address(0, "colour")


class _Bytes:
    """What a host writes, each byte once; a value too large for its bytes is an OverflowError."""

    def __init__(self) -> None:
        self.written: set[int] = set()

    def write(self, address: int, value: int, size: int) -> None:
        int(value).to_bytes(size, "little")
        place = set(range(address, address + size))
        assert not place & self.written
        self.written |= place


@lru_cache
def program_of(mapping: Mapping, lanes: int) -> Program:
    """Deep memories, so that numbers of words take two bytes."""
    config = replace(
        GRID,
        row_lanes=lanes,
        flit_bits=lanes * GRID.partial_sum_bits,
        weight_words=256,
        cores=32,
    )
    return lower(small_model(hidden=40), config, mapping)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("lanes", [4, 8, 32])
def test_a_program_is_written_byte_by_byte(mapping: Mapping, lanes: int) -> None:
    program = program_of(mapping, lanes)
    config, memory = program.config, _Bytes()
    tasks = region(config, "tasks")
    heard = _heard_streams(program)
    for core in range(config.cores):
        of_core = [task for task in program.tasks if task.core == core]
        assert len(of_core) <= 2
        for place, task in enumerate(of_core):
            entry = 2 * core + place
            _write_array(
                memory, tasks.address(entry, "first words"), task.word_start, start_bytes(config)
            )
            _write_array(
                memory, tasks.address(entry, "words"), task.word_count, count_bytes(config)
            )
            assert len({segment.stream for segment in task.segments}) == len(task.segments)
            for segment in task.segments:
                number = heard[core].index(segment.stream)
                address = tasks.address(entry, "segments") + 16 * number
                memory.write(address, segment.first, 8)
                memory.write(address + 8, segment.destination, 4)
                memory.write(address + 12, segment.count, 4)
        _write_port(memory, program, core, core, heard)
    _write_port(memory, program, HOST, config.cores, heard)
    used = {one.name: 0 for one in host_window(config)}
    for address in memory.written:
        used[next(one.name for one in host_window(config) if address < one.stop)] += 1
    assert {name for name, count in used.items() if count} == {"tasks", "ports"}


def _write_array(memory: _Bytes, address: int, values: np.ndarray, size: int) -> None:
    for place, value in enumerate(values.flat):
        memory.write(address + size * place, int(value), size)


def _heard_streams(program: Program) -> dict[int, list[int]]:
    """Streams of frames that each core, and the host, takes; in the order of their numbers."""
    return {
        core: [
            number
            for number, stream in enumerate(program.streams)
            if stream.kind == "activations" and any(sink.core == core for sink in stream.sinks)
        ]
        for core in (HOST, *range(program.config.cores))
    }


def _write_port(
    memory: _Bytes, program: Program, core: int, entry: int, heard: dict[int, list[int]]
) -> None:
    """Masks of the streams that a core sends, and the tables of those that it takes."""
    config, ports = program.config, region(program.config, "ports")
    sent = [stream for stream in program.streams if stream.source == core]
    kinds_of = {"frame slots": ("activations",), "control slots": ("credits", "order")}
    for field, kinds in kinds_of.items():
        chosen = [stream for stream in sent if stream.kind in kinds]
        for number, stream in enumerate(chosen):
            mask = sum(1 << slot for slot in stream.slots)
            size = mask_bytes(config)
            memory.write(ports.address(entry, field) + size * number, mask, size)
        assert len(chosen) <= 2
    for field, numbers in (
        ("frames", heard[core]),
        ("credits", list(_control_streams(program, core))),
    ):
        for place, number in enumerate(numbers):
            stream = program.streams[number]
            hops = next(sink.hops for sink in stream.sinks if sink.core == core)
            for slot in stream.slots:
                taken = (slot + hops * config.stages.hop) % config.slots
                if field == "credits" or _takes_frames(program, core, number):
                    memory.write(ports.address(entry, field) + 2 * taken, 1 + place, 2)


def _control_streams(program: Program, core: int) -> Iterator[int]:
    for number, stream in enumerate(program.streams):
        if stream.kind in ("credits", "order") and any(sink.core == core for sink in stream.sinks):
            yield number


def _takes_frames(program: Program, core: int, stream: int) -> bool:
    """And not only their heads, for which there is a port of its own."""
    if core == HOST:
        return True
    of_core = [task for task in program.tasks if task.core == core]
    return any(segment.stream == stream for task in of_core for segment in task.segments)


def test_the_table_of_the_page_is_the_map(repository: Path) -> None:
    """Of ``mau-stratix10``: every region, and the fields of the entries that have some."""
    page = (repository / "docs" / "accelerator.md").read_text(encoding="utf-8")
    lines = []
    for one in host_window(MAU):
        entries = f"{one.entries:,} x {one.entry_bytes:,}"
        lines.append(
            f"| `0x{one.offset:07x}` | {one.name} | {bytes_text(one.size)} | {entries} | "
            f"{one.access} | {one.content} |"
        )
        for part in one.fields:
            lines.append(
                f"| + `0x{part.offset:x}` | – {part.name} | {bytes_text(part.size)} | | | "
                f"{part.content} |"
            )
    assert "\n".join(lines) in page, "\n".join(lines)
