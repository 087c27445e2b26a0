"""The pictures of the accelerator are drawn, and show what programs and configurations hold."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.accelerator_diagrams import draw_accelerator
from sparsespeech.report.diagram import draw, tint
from sparsespeech.report.format_diagram import flits, word_fields
from sparsespeech.report.grid_diagram import tiles_of
from sparsespeech.report.memory_diagram import SIZE as MEMORY_SIZE
from sparsespeech.report.memory_diagram import (
    bytes_text,
    fullest_core,
    paint_memory,
    window_sum_bits,
)
from sparsespeech.report.step_diagram import STEP_SIZE, busy_passes, paint_step, step_parts
from sparsespeech.simulator.counters import core_counters, step_split
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.simulator import Simulator
from sparsespeech.simulator.timeline import core_timeline
from tests.compiled_programs import small_program


@lru_cache
def small_run(mapping: str, frames: int = 4) -> Run:
    return Simulator(small_program(mapping=cast(Mapping, mapping))).timing([[frames]])


@pytest.mark.parametrize(
    ("suffix", "mappings"), [(".png", ["paper"]), (".svg", ["paper", "interleaved"])]
)
def test_every_picture_is_drawn(tmp_path: Path, suffix: str, mappings: list[str]) -> None:
    pytest.importorskip("matplotlib")
    paths = draw_accelerator(tmp_path, tuple(map(small_run, mappings)), suffix)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert len(paths) == 7
    for path in paths:
        content = path.read_bytes()
        if suffix == ".png":
            assert content.startswith(b"\x89PNG")
        else:
            ElementTree.fromstring(content)


def test_a_step_of_a_forward_network_is_drawn_as_well(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = Simulator(small_program(bidirectional=False)).timing([[3]])
    draw(tmp_path / "step.png", STEP_SIZE, lambda diagram: paint_step(diagram, run))
    assert (tmp_path / "step.png").stat().st_size > 10_000


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"sparsespeech\[report\]"):
        draw_accelerator(tmp_path, (small_run("paper"),))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_tiles_are_the_tasks_of_the_cores(mapping: str) -> None:
    program = small_run(mapping).program
    tiles = tiles_of(program)
    assert set(tiles) == {task.core for task in program.tasks}
    for core, tile in tiles.items():
        chains = [program.chains[task.chain] for task in program.tasks if task.core == core]
        directions = {chain.direction for chain in chains}
        assert tile.direction == ("both" if len(directions) == 2 else directions.pop())
        assert {chain.layer for chain in chains} == {tile.layer}
        assert {task.position for task in program.tasks if task.core == core} == {tile.position}
    assert ("both" in {tile.direction for tile in tiles.values()}) == (mapping == "interleaved")


@pytest.mark.parametrize("config", TARGETS.values(), ids=list(TARGETS))
def test_formats_fill_words_and_links(config: AcceleratorConfig) -> None:
    assert sum(bits for _, bits, _ in word_fields(config)) == config.word_bits
    kinds = {name: fields for name, fields, _ in flits(config)}
    for name in ("activations", "partial sums", "gate inputs"):
        assert sum(bits for _, bits, _ in kinds[name]) == config.flit_bits
    activations = [field for field in kinds["activations"] if field[0] == "activation"]
    assert len(activations) == config.flit_activations


def test_the_parts_of_a_step_add_up() -> None:
    for direction in ("forward", "backward"):
        run = small_run("paper")
        total = sum(part.cycles for part in step_parts(run, direction))
        assert total == pytest.approx(step_split(run, direction).total)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_bars_are_as_long_as_the_cores_were_busy(mapping: str) -> None:
    run = small_run(mapping)
    timeline = core_timeline(run)
    for counters in core_counters(run):
        bars = [
            (start, stop)
            for direction in ("", "forward", "backward")
            for start, stop in busy_passes(run, timeline[counters.core], direction)
        ]
        issuing = counters.multiply + counters.row_limit + counters.stall
        assert sum(stop - start for start, stop in bars) == issuing
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(bars)))


def test_the_sum_of_a_window_fits_its_bits() -> None:
    for config in TARGETS.values():
        largest = config.window_columns * 2 ** (config.weight_bits - 1) * 255
        bits = window_sum_bits(config)
        assert 2 ** (bits - 2) <= largest < 2 ** (bits - 1)


def test_the_fullest_core_has_the_longest_streams() -> None:
    program = small_run("interleaved").program

    def longest(core: int) -> int:
        return sum(int(task.word_count.max()) for task in program.tasks if task.core == core)

    assert longest(fullest_core(program)) == max(longest(task.core) for task in program.tasks)


def test_small_words_of_the_toolkit() -> None:
    assert tint("#0072B2", 0.0) == "#ffffff"
    assert tint("#0072B2", 1.0) == "#0072b2"
    assert tint("#000000", 0.5) == "#808080"
    assert [bytes_text(size) for size in (208, 4096, 1.5 * 2**20)] == [
        "208 bytes",
        "4 KiB",
        "1.5 MiB",
    ]


def test_the_picture_of_memories_shows_the_words(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    program = small_run("interleaved").program
    contents = []
    for shown in (program, program, _without_words(program)):
        draw(tmp_path / "x.png", MEMORY_SIZE, partial(paint_memory, program=shown))
        contents.append((tmp_path / "x.png").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def _without_words(program: Program) -> Program:
    tasks = tuple(
        replace(task, word_count=np.zeros_like(task.word_count)) for task in program.tasks
    )
    return replace(program, tasks=tasks)
