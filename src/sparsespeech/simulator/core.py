"""Rules T1 to T7: when the cores of one block load, issue words and pop row groups.

Axes: C cores of the block in the order of its links, S streams of a core (row lanes x windows),
N row groups of a pass. All times are cycles.

Issue and pop are max-plus recurrences over row groups that reach back ``window_fifo`` and
``chain_fifo`` row groups, so they are solved in chunks of that many, each chunk with numpy over
cores x streams. Fetching (T2) shows in S alone: behind it a stream has a word to issue in every
cycle. Nothing depends on absolute time: a pass whose starts and whose last pops before it
lie as in an earlier one is that one, shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig

NEVER = -(2**28)  # before anything that matters; sums with it stay inside int32

Times = NDArray[np.int64]
Relative = NDArray[np.int32]


@dataclass(frozen=True)
class NeighbourLink:
    """Results of one core that wait in a FIFO of another core of the block."""

    source: int  # index in the block, smaller than ``sink``
    sink: int
    delay: int  # from a pop of the source to the first cycle in which the sink may pop (T5, T6)
    credit: int  # from a pop of the sink to the pop of the source that it allows (T7)


@dataclass(frozen=True, eq=False)
class Pass:
    """One frame through the cores of a block; arrays are [C] unless said."""

    decided: Times  # L, when the load was decided
    started: Times  # S, from which words may issue
    stopped: Times  # the last issue
    words: Times  # of the longest stream: the issues of a pass without a stall
    base: int
    relative_pops: Relative  # [C, N], shared between passes: the pops are ``base`` later

    @property
    def pops(self) -> Times:
        """P, [C, N]."""
        return self.relative_pops.astype(np.int64) + self.base

    def last_pop(self, core: int) -> int:
        """Of one core of the block."""
        return int(self.relative_pops[core, -1]) + self.base


class Block:
    """Cores that take the same frames in the same order, and the links between them."""

    def __init__(
        self,
        config: AcceleratorConfig,
        links: tuple[NeighbourLink, ...],
        row_ends: tuple[NDArray[np.int32], ...],
        load_cycles: NDArray[np.int64],
    ) -> None:
        """For each *variant* (a direction, where cores serve both) its row ends and loads.

        ``row_ends``: int32[N, C, S], position of a row's last word in its stream, counted from 0;
        two rows at most end in one word.
        ``load_cycles``: int64[variants, C].
        """
        self._config = config
        self._links = links
        self._row_ends = row_ends
        self._load_cycles = load_cycles
        cores = load_cycles.shape[1]
        fifos = [config.window_fifo] + [config.chain_fifo] * bool(links)
        self._chunk = min(fifos)
        self._depth = max(fifos)
        self._slack = max([config.stages.credit] + [link.credit for link in links])
        self._words = np.stack([ends[-1].max(axis=1) + 1 for ends in row_ends]).astype(np.int64)
        self._history = np.full((cores, self._depth), NEVER, dtype=np.int64)  # the last pops
        self._written = np.full(cores, NEVER, dtype=np.int64)  # behind the last write of a load
        self._stopped = np.full((2, cores), NEVER, dtype=np.int64)  # of the two passes before
        self._known: dict[tuple[int, bytes], tuple[Relative, Relative]] = {}

    def advance(self, variant: int, complete: Times) -> Pass:
        """The next pass, whose frame is there for each core at ``complete``, int64[C]."""
        stages = self._config.stages
        decided = np.maximum(complete, self._written)
        bank_free = self._stopped[0 if self._config.double_buffered else -1] + 1
        first_write = np.maximum(decided + stages.staging_read, bank_free)
        written = first_write + self._load_cycles[variant]
        started = np.maximum(written, decided + 1 + stages.fetch)
        started = np.maximum(started, self._stopped[-1] + 1)

        base = int(started.min())
        starts = (started - base).astype(np.int32)
        history = np.maximum(self._history - base, -self._slack).astype(np.int32)
        key = (variant, starts.tobytes() + history.tobytes())
        if key not in self._known:
            self._known[key] = self._solve(variant, starts, history)
        pops, stops = self._known[key]

        before = np.concatenate([self._history, pops[:, -self._depth :] + np.int64(base)], axis=1)
        self._history = before[:, -self._depth :]
        self._stopped = np.stack([self._stopped[1], stops + np.int64(base)])
        self._written = written
        return Pass(decided, started, self._stopped[1], self._words[variant], base, pops)

    def _solve(
        self, variant: int, starts: Relative, history: Relative
    ) -> tuple[Relative, Relative]:
        """Pops [C, N] and last issues [C]; ``history``: pops before, [C, depth]."""
        ends = self._row_ends[variant]
        count = ends.shape[0]
        depth, fifo = self._depth, self._config.window_fifo
        pops = np.empty((starts.size, depth + count), dtype=np.int32)
        pops[:, :depth] = history
        late = np.broadcast_to(starts[:, None], ends.shape[1:])  # issue of a word - its position
        for first in range(0, count, self._chunk):
            stop = min(first + self._chunk, count)
            room = pops[:, first + depth - fifo : stop + depth - fifo]  # T2
            delays = (room.T + self._config.stages.credit)[:, :, None] - ends[first:stop]
            np.maximum(delays[0], late, out=delays[0])
            np.maximum.accumulate(delays, axis=0, out=delays)
            late = delays[-1]
            sums = (delays + ends[first:stop]).max(axis=2).T + self._config.stages.window  # T3
            self._pop(pops, sums.astype(np.int32), first + depth)
        stops: Relative = (late + ends[-1]).max(axis=1).astype(np.int32)
        return np.ascontiguousarray(pops[:, depth:]), stops

    def _pop(self, pops: Relative, sums: Relative, first: int) -> None:
        """T4 for the row groups of one chunk, core by core along the links."""
        count = sums.shape[1]
        order = np.arange(count, dtype=np.int32)
        back = first - self._config.chain_fifo
        for core in range(sums.shape[0]):
            allowed = sums[core]
            for link in self._links:
                if link.sink == core:  # T5, T6
                    arrivals = pops[link.source, first : first + count] + link.delay
                    np.maximum(allowed, arrivals, out=allowed)
                if link.source == core:  # T7
                    credits = pops[link.sink, back : back + count] + link.credit
                    np.maximum(allowed, credits, out=allowed)
            allowed -= order  # one a cycle, though a word may end two row groups
            allowed[0] = max(allowed[0], pops[core, first - 1] + 1)
            np.maximum.accumulate(allowed, out=allowed)
            pops[core, first : first + count] = allowed + order
