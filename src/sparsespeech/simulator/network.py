"""Rules T8 to T10: flits on circuits with fixed slots of a wheel, and their arrival.

Axes: F flits of a frame, N row groups. All times are cycles.

A circuit never makes a flit wait on the way, so a stream is one counter: the slot behind the last
flit. Slots are numbered through all turns of the wheel; flits take one each, in order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Stream
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Times


class Circuit:
    """One stream: when its flits are put on, and when they reach a sink."""

    def __init__(self, config: AcceleratorConfig, stream: Stream) -> None:
        """Raises SimulationError for a stream without slots."""
        if not stream.slots:
            raise SimulationError(
                f"stream {stream.name} has no slot on the wheel of {config.slots}; route it again"
            )
        self.stream = stream
        self._wheel = config.slots
        self._slots = np.array(sorted(stream.slots), dtype=np.int64)
        self._delays = {
            sink.core: sink.hops * config.stages.hop + config.stages.eject for sink in stream.sinks
        }
        self._next = 0  # number of the first slot that no flit has taken

    def put_on(self, ready: Times) -> Times:
        """Cycles on which flits that may leave at ``ready`` [F], ascending, are put on."""
        turn, phase = np.divmod(ready, self._wheel)
        slots = turn * self._slots.size + np.searchsorted(self._slots, phase)
        order = np.arange(ready.size)
        taken = np.maximum.accumulate(np.maximum(slots - order, self._next)) + order
        self._next = int(taken[-1]) + 1
        turn, place = np.divmod(taken, self._slots.size)
        times: Times = turn * self._wheel + self._slots[place]
        return times

    def put_one_on(self, ready: int) -> int:
        """The same for a single flit: a credit or an order."""
        return int(self.put_on(np.array([ready], dtype=np.int64))[0])

    def delay(self, core: int) -> int:
        """Cycles from putting on to arrival at ``core``; SimulationError if it is no sink."""
        if core not in self._delays:
            raise SimulationError(
                f"stream {self.stream.name} does not reach core {core}; "
                f"its sinks: {sorted(self._delays)}"
            )
        return self._delays[core]


def flit_row_groups(rows: NDArray[np.int32], units: bool, flit_activations: int) -> Times:
    """Row group of a pass that fills each flit of a frame, [F] (T9).

    ``rows``: [N, R], -1 for a lane without a row; ``units``: four lanes give one activation.
    """
    filled = np.cumsum((rows >= 0).sum(axis=1)) // (4 if units else 1)
    flits = flit_count(int(filled[-1]), flit_activations)
    needed = np.minimum((np.arange(flits) + 1) * flit_activations, filled[-1])
    row_groups: Times = np.searchsorted(filled, needed).astype(np.int64)
    return row_groups


def flit_count(activations: int, flit_activations: int) -> int:
    """F: flits of a frame, the last may be short."""
    return -(-activations // flit_activations)
