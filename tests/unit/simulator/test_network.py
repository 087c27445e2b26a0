"""Flits on the slots of the wheel: rules T8 and T9."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.program import Sink, Stream
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.network import Circuit, flit_count, flit_row_groups

CONFIG = TARGETS["tiny"]


def stream(slots: tuple[int, ...]) -> Stream:
    return Stream("some", "activations", 0, (Sink(3, 4), Sink(0, 0)), slots, (), 20)


@given(
    slots=st.sets(st.integers(0, CONFIG.slots - 1), min_size=1),
    frames=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12), max_size=4),
)
def test_each_flit_takes_the_first_slot_that_is_left(
    slots: set[int], frames: list[list[int]]
) -> None:
    circuit = Circuit(CONFIG, stream(tuple(slots)))
    cycle = -1
    for frame in frames:
        ready = sorted(frame)
        expected = []
        for earliest in ready:
            cycle = max(cycle + 1, earliest)
            while cycle % CONFIG.slots not in slots:
                cycle += 1
            expected.append(cycle)
        assert circuit.put_on(np.array(ready)).tolist() == expected


def test_a_flit_reaches_each_sink_after_its_links() -> None:
    circuit = Circuit(CONFIG, stream((1,)))
    assert circuit.delay(3) == 4 * CONFIG.stages.hop + CONFIG.stages.eject
    assert circuit.delay(0) == CONFIG.stages.eject
    with pytest.raises(SimulationError, match=r"some does not reach core 2; its sinks: \[0, 3\]"):
        circuit.delay(2)


def test_a_stream_without_slots_is_refused() -> None:
    with pytest.raises(SimulationError, match="stream some has no slot on the wheel of 16"):
        Circuit(CONFIG, stream(()))


@given(
    rows=st.lists(st.integers(0, 8), min_size=1, max_size=30),
    units=st.booleans(),
    flit=st.sampled_from([1, 2, 4, 8]),
)
def test_a_flit_is_full_with_the_row_group_of_its_last_activation(
    rows: list[int], units: bool, flit: int
) -> None:
    rows = [4 * (count // 4) for count in rows] if units else rows
    rows[-1] = rows[-1] or 4
    lanes = np.full((len(rows), 8), -1, dtype=np.int32)
    activations = []  # the row group that makes each
    for row, count in enumerate(rows):
        lanes[row, :count] = row
        activations += [row] * (count // 4 if units else count)
    expected = [
        activations[min(at + flit, len(activations)) - 1] for at in range(0, len(activations), flit)
    ]
    assert flit_row_groups(lanes, units, flit).tolist() == expected
    assert flit_count(len(activations), flit) == len(expected)
