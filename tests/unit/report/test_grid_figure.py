"""The picture of the network shows what the program holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.passes.route import route
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.stream_graph import link_loads
from sparsespeech.report.diagram import Diagram, draw
from sparsespeech.report.grid_diagram import tiles_of
from sparsespeech.report.grid_figure import network_size, paint_network
from tests.placed_plans import full_size, placed_plan, program_of, tiny_network

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def program() -> Program:
    return program_of(route(full_size(TARGETS["mau-stratix10"], "paper")))


class _Recorder(Diagram):
    """A diagram that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.arrows = 0

    def text(self, place, text, **style) -> None:  # type: ignore[no-untyped-def]  # as the base
        self.texts.append(text)

    def box(self, corner, size, text="", **style) -> None:  # type: ignore[no-untyped-def]  # as the base
        self.texts.append(text)

    def arrow(self, *way, **style) -> None:  # type: ignore[no-untyped-def]  # as the base
        self.arrows += 1


def test_one_arrow_for_each_link(program: Program) -> None:
    recorder = _Recorder()
    paint_network(recorder, program)
    sums = sum(one.kind in ("partial_sums", "gate_inputs") for one in program.streams)
    legend = 5
    loads = link_loads(program.streams)
    assert [load.to_host for load in loads if load.start == load.stop] == [False, True]
    assert recorder.arrows == len(loads) + sums + legend


def test_every_core_and_the_empty_site_are_shown(program: Program) -> None:
    recorder = _Recorder()
    paint_network(recorder, program)
    assert recorder.texts.count("layer 4") == 24
    assert recorder.texts.count("x3") == 4
    assert recorder.texts.count("router\nonly") == 1
    assert "The network, paper mapping" in recorder.texts


def test_a_core_without_a_task_is_still_a_core(program: Program) -> None:
    idle = replace(program, chains=program.chains[:1])
    recorder = _Recorder()
    paint_network(recorder, replace(idle, streams=(), sequences=()))
    assert len(tiles_of(idle)) < program.config.cores
    assert recorder.texts.count("router\nonly") == 1


def test_utilisation_stands_on_the_tiles(program: Program) -> None:
    recorder = _Recorder()
    paint_network(recorder, program, [core / 100 for core in range(34)])
    assert {f"{core}%" for core in range(34)} <= set(recorder.texts)


def test_pictures_are_written(tmp_path: Path) -> None:
    plan = placed_plan(tiny_network(40, 64, 16), TARGETS["tiny"], "interleaved", (2, 1))
    program = program_of(route(plan))
    draw(tmp_path / "grid.png", network_size(program), lambda sheet: paint_network(sheet, program))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
