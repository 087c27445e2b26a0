"""States of cores over a run, and the trace and value change dump that show them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sparsespeech.compiler.program import Mapping
from sparsespeech.simulator.counters import core_counters
from sparsespeech.simulator.machine import Run, simulate
from sparsespeech.simulator.simulator import Simulator
from sparsespeech.simulator.timeline import BUSY, STATES, core_timeline, cycles_of_states
from sparsespeech.simulator.trace import trace
from sparsespeech.simulator.value_change_dump import value_change_dump
from tests.compiled_programs import GRID, small_program


@pytest.fixture(
    scope="module",
    params=["paper", "interleaved", "forward", "sparse", "short FIFO"],
)
def run(request: pytest.FixtureRequest) -> Run:
    mapping: Mapping = "interleaved" if request.param == "interleaved" else "paper"
    config = replace(GRID, window_fifo=2) if request.param == "short FIFO" else GRID
    program = small_program(
        1, hidden=8, mapping=mapping, bidirectional=request.param != "forward", config=config
    )
    waves = [(4, 2), (3,)]
    if request.param not in ("sparse", "short FIFO"):
        return Simulator(program).timing(waves)
    shape = (config.row_lanes, config.windows, 1)
    row_groups = [program.chains[task.chain].row_groups for task in program.tasks]
    two_in_a_word = [np.tile(np.arange(count) // 2, shape) for count in row_groups]
    return simulate(program, two_in_a_word, waves)


def test_runs_show_the_states(run: Run, request: pytest.FixtureRequest) -> None:
    shown = {part.state for slices in core_timeline(run) for part in slices}
    waiting = {"sparse": {"row_limit"}, "short FIFO": {"row_limit", "stall"}}
    kind = request.node.callspec.params["run"]
    assert shown == set(STATES) - {"row_limit", "stall"} | waiting.get(kind, set())


def test_states_fill_the_run_without_gap_or_overlap(run: Run) -> None:
    for slices in core_timeline(run):
        assert slices[0].start == 0
        assert slices[-1].stop == run.cycles
        assert all(before.stop == after.start for before, after in pairwise(slices))
        assert all(part.cycles > 0 and part.state in STATES for part in slices)


def test_states_are_those_that_the_counters_count(run: Run) -> None:
    timelines = core_timeline(run)
    counted = {counters.core: counters for counters in core_counters(run)}
    for core, slices in enumerate(timelines):
        cycles = cycles_of_states(slices)
        if core in counted:
            assert cycles == {state: getattr(counted[core], state) for state in STATES}
        else:
            assert cycles["idle"] == run.cycles


def test_every_pass_multiplies_for_its_own_frame(run: Run) -> None:
    timelines = core_timeline(run)
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        for core in wiring.cores:
            multiplied = [part.frame for part in timelines[core] if part.state == "multiply"]
            assert multiplied == [entry.frame for entry in passes]


# ---- trace -------------------------------------------------------------------------------------


def complete_events(run: Run, process: int) -> list[dict[str, Any]]:
    events = json.loads(json.dumps(trace(run)))["traceEvents"]
    return [event for event in events if event["ph"] == "X" and event["pid"] == process]


def test_trace_shows_the_states_of_each_core(run: Run) -> None:
    events = complete_events(run, 1)
    for core, slices in enumerate(core_timeline(run)):
        shown = [event for event in events if event["tid"] == core]
        busy = [part for part in slices if part.state != "idle"]
        assert [(event["name"], event["args"]["cycle"]) for event in shown] == [
            (part.state, part.start) for part in busy
        ]
        # 100 MHz: a cycle is 0.01 microseconds
        assert [event["ts"] for event in shown] == pytest.approx([p.start / 100 for p in busy])
        assert [event["dur"] for event in shown] == pytest.approx([p.cycles / 100 for p in busy])


def test_trace_shows_the_flits_of_each_stream(run: Run) -> None:
    events = complete_events(run, 2)
    for number, frames in enumerate(run.flits):
        shown = [event for event in events if event["tid"] == number]
        assert [event["args"]["cycle"] for event in shown] == [int(p[0]) for p in frames]
        assert [event["args"]["flits"] for event in shown] == [len(p) for p in frames]
        assert all(
            before["ts"] + before["dur"] <= after["ts"] + 1e-9 for before, after in pairwise(shown)
        )


def test_trace_names_its_tracks(run: Run) -> None:
    events = trace(run)["traceEvents"]
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    assert names[1, 0].startswith("core 0 at 0,0: layer1.0")
    used = {(event["pid"], event["tid"]) for event in events if event["ph"] == "X"}
    assert used <= set(names)


# ---- value change dump ---------------------------------------------------------------------------


def states_of_dump(text: str, core: int) -> list[tuple[int, str]]:
    """(picosecond, state) whenever the state of ``core`` changes: a reader of the format."""
    codes: dict[str, str] = {}
    scopes: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        words = line.split()
        if words[0] == "$scope":
            scopes.append(words[2])
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var" and scopes[-1] == f"core{core}":
            codes[words[3]] = words[4]
        elif words[0] == "$enddefinitions":
            break
    now, on, changes = 0, set[str](), list[tuple[int, str]]()
    for line in [*lines, "#end"]:
        if line.startswith("#"):
            assert len(on) <= 1
            state = next(iter(on), "idle")
            if not changes or changes[-1][1] != state:
                changes.append((now, state))
            now = 0 if line == "#end" else int(line[1:])
        elif line[0] in "01" and line[1:] in codes:
            (on.add if line[0] == "1" else on.discard)(codes[line[1:]])
    return changes


def test_dump_holds_the_states_of_each_core(run: Run) -> None:
    text = value_change_dump(run)
    for core, slices in enumerate(core_timeline(run)):
        expected: list[tuple[int, str]] = []
        for part in slices:
            if not expected or expected[-1][1] != part.state:
                expected.append((part.start * 10_000, part.state))  # 100 MHz
        assert states_of_dump(text, core)[-len(expected) :] == expected


def test_dump_names_each_signal_once(run: Run) -> None:
    codes = [
        line.split()[3] for line in value_change_dump(run).splitlines() if line.startswith("$var")
    ]
    assert len(set(codes)) == len(codes) == len(run.program.places) * (len(BUSY) + 1)
    assert all(all(33 <= ord(sign) <= 126 for sign in code) for code in codes)
