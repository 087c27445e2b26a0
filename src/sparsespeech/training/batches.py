"""Which utterances step number s trains on: a pure function of recipe, lengths and step.

A killed run needs no loader state to go on. The first epoch goes from short to long (SortaGrad)
unless the recipe says otherwise; later ones shuffle batches of utterances of similar length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.training.recipe import Data

IntegerArray = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Utterance numbers of one step, and the epoch it belongs to."""

    epoch: int
    utterances: IntegerArray


class BatchPlan:
    """Batches of a whole run; ask for steps in increasing order to plan each epoch once."""

    def __init__(
        self,
        lengths: IntegerArray,
        source: IntegerArray,
        data: Data,
        *,
        seed: int,
        steps: int,
        workers: int = 1,
        sorted_first_epoch: bool = True,
    ) -> None:
        """``lengths`` in frames and ``source`` number of each utterance, int64[U].

        With several ``workers`` a step holds one batch a worker. ``sorted_first_epoch`` is the
        recipe's decision, which ``data`` may leave open.
        """
        self._lengths, self._source, self._data = lengths, source, data
        self._seed, self._steps, self._workers = seed, steps, workers
        self._sorted_first_epoch = sorted_first_epoch
        self._epoch, self._first_step = -1, 0
        self._batches: list[list[IntegerArray]] = []

    def at(self, step: int, worker: int = 0) -> Batch:
        """The batch of ``worker`` at ``step`` (0-based)."""
        if step < self._first_step:
            self._epoch, self._first_step, self._batches = -1, 0, []
        while step >= self._first_step + len(self._batches):
            self._first_step += len(self._batches)
            self._epoch += 1
            self._batches = self._plan_epoch()
        return Batch(self._epoch, self._batches[step - self._first_step][worker])

    def steps_per_epoch(self) -> int:
        """Steps of the first epoch; later ones differ where sources leave or batches fall anew."""
        self.at(0)
        return len(self._batches)

    def _plan_epoch(self) -> list[list[IntegerArray]]:
        random = np.random.default_rng([self._seed, self._epoch])
        chosen = self._choose(random)
        lengths = self._lengths[chosen]
        sorts = self._epoch == 0 and self._sorted_first_epoch
        noise = 0.0 if sorts else self._data.bucket_noise
        order = np.argsort(
            lengths * random.uniform(1 - noise, 1 + noise, lengths.size), kind="stable"
        )
        batches = self._cut(chosen[order])
        # Workers share a step: give them neighbours, which are of similar length.
        steps = [
            batches[first : first + self._workers]
            for first in range(0, len(batches), self._workers)
        ]
        steps[-1] += steps[-1][:1] * (self._workers - len(steps[-1]))
        if not sorts:
            steps = [steps[number] for number in random.permutation(len(steps))]
        return steps

    def _choose(self, random: np.random.Generator) -> IntegerArray:
        """Utterances of the epoch: each source as often as its weight says, until it leaves."""
        progress = self._first_step / self._steps
        chosen = []
        for number, source in enumerate(self._data.train):
            members = np.flatnonzero(self._source == number)
            if progress >= source.until and source.until < 1.0:
                continue
            whole, part = divmod(source.weight, 1.0)
            extra = members[random.random(members.size) < part]
            chosen += [members] * int(whole) + [extra]
        everything = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
        # A run never starves: with nothing chosen by chance, all utterances serve.
        return everything if everything.size else np.arange(self._lengths.size)

    def _cut(self, order: IntegerArray) -> list[IntegerArray]:
        """Cut into batches whose padded size stays within the frame budget."""
        batches, first = [], 0
        while first < order.size:
            most = order[first : first + self._data.batch_utterances]
            count = self._fitting(self._lengths[most])
            batches.append(order[first : first + count])
            first += count
        return batches

    def _fitting(self, lengths: IntegerArray) -> int:
        """How many of the next utterances, at least one, make the next batch."""
        longest = np.maximum.accumulate(lengths)
        padded = longest * np.arange(1, longest.size + 1)
        count = max(1, int(np.searchsorted(padded, self._data.batch_frames, side="right")))
        # Training kernels pad to whole lanes: utterances beyond the last whole multiple are
        # better off in a batch of their own.
        multiple = self._data.batch_multiple
        return count - count % multiple if count > multiple else count
