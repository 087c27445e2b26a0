"""What the registers of an accelerator tell its host about a run.

Axes: C cores of the configuration, T frames of an utterance. All figures are cycles of the
accelerator's clock; cycle 0 is the first of the host's slot wheel after a reset; the first flit
goes at the host's first slot (rule T14).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class CoreCounters:
    """Every cycle of a run, counted once."""

    core: int
    multiply: int  # words of the longest stream issue
    row_limit: int  # further cycles up to one a row group: the limit of the adder tree
    stall: int  # a pass takes longer than both: FIFOs wait for other streams or cores
    load: int  # a store is written, and nothing is issued
    drain: int  # the last results of a pass are in the core's pipeline
    recurrence: int  # the fed-back output of the step before is on its way
    idle: int  # no frame is there, or its results have no place

    @property
    def total(self) -> int:
        """Cycles of the run."""
        return sum(astuple(self)[1:])

    @property
    def utilisation(self) -> float:
        """Multiplying, as a share of all cycles; 0 before the first run."""
        return self.multiply / self.total if self.total else 0.0


@dataclass(frozen=True)
class UtteranceTimes:
    """The stamps that the host's port gives to the frames of one utterance."""

    utterance: int  # as ``Device.begin`` named it
    sent: tuple[int, ...]  # [T], when the first flit of each frame was put on
    arrived: tuple[int, ...]  # [T], when the last activation made of it came back

    @property
    def frame_latencies(self) -> tuple[int, ...]:
        """[T], from sending to arriving."""
        return tuple(end - start for start, end in zip(self.sent, self.arrived, strict=True))

    @property
    def latency(self) -> int:
        """From the first flit of the utterance to its last activation."""
        return max(self.arrived) - min(self.sent)


@dataclass(frozen=True)
class Counters:
    """All registers of one run."""

    cycles: int  # to the arrival of the last activation at the host
    cores: tuple[CoreCounters, ...]  # [C], those without work too
    utterances: tuple[UtteranceTimes, ...]  # in the order in which they began

    @property
    def utilisation(self) -> float:
        """Mean share of the cycles in which the cores multiply."""
        return sum(core.utilisation for core in self.cores) / len(self.cores)
