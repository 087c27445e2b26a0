"""Sixth pass: nonzeros to weight words, and where the words of each task lie in its core's memory.

Axes: R row lanes, Q windows. Tasks that share a core (the two directions of the interleaved
mapping) lie one behind the other, lane by lane and window by window, in the order of their chains.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.packing import PackedTask, pack_chain
from sparsespeech.compiler.word_format import check_word_bits
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import SparseMatrix


@dataclass
class _Memory:
    """The weight memory of one core while it is filled."""

    parts: list[tuple[NDArray[np.int32], PackedTask]] = field(default_factory=list)

    def used(self, shape: tuple[int, int]) -> NDArray[np.int32]:
        """Words in use, [R, Q]."""
        if not self.parts:
            return np.zeros(shape, dtype=np.int32)
        start, packed = self.parts[-1]
        return start + packed.counts

    def image(self, shape: tuple[int, int]) -> NDArray[np.uint64]:
        """uint64[R, Q, words of the fullest stream], 0 where nothing lies."""
        depth = int(self.used(shape).max())
        words = np.zeros((*shape, depth), dtype=np.uint64)
        place = np.arange(depth)
        for start, packed in self.parts:
            wanted = (place >= start[..., np.newaxis]) & (
                place < (start + packed.counts)[..., np.newaxis]
            )
            given = np.arange(packed.words.shape[2]) < packed.counts[..., np.newaxis]
            words[wanted] = packed.words[given]
        return words


def pack_words(plan: Plan) -> Plan:
    """Fills ``words``, ``word_start`` and ``word_count``.

    Raises CompileError naming matrix, core, lane and window where a memory overflows, the matrix
    whose weights the word cannot hold, and a word above 64 bits.
    """
    config = plan.config
    check_word_bits(config)
    shape = (config.row_lanes, config.windows)
    memories = [_Memory() for _ in plan.places]
    starts: list[tuple[NDArray[np.int32], ...]] = []
    counts: list[tuple[NDArray[np.int32], ...]] = []
    for chain in plan.chains:
        matrix = matrix_of(plan.model, chain.matrix)
        _check_weights(chain.matrix, matrix, config)
        packed = pack_chain(matrix, chain.rows, chain.slices, config)
        starts.append(tuple(memories[core].used(shape) for core in chain.cores))
        counts.append(tuple(task.counts for task in packed))
        for core, start, task in zip(chain.cores, starts[-1], packed, strict=True):
            _check_room(chain, core, start, task.counts, config)
            memories[core].parts.append((start, task))
    return replace(
        plan,
        words=tuple(memory.image(shape) for memory in memories),
        word_start=tuple(starts),
        word_count=tuple(counts),
        facts={**plan.facts, "weight_words": _figures(plan, counts)},
    )


def _check_weights(name: str, matrix: SparseMatrix, config: AcceleratorConfig) -> None:
    half = 1 << (config.weight_bits - 1)
    values = matrix.value.astype(np.int64)
    outside = np.flatnonzero((values < -half) | (values >= half))
    if outside.size:
        row = int(np.searchsorted(matrix.row_start, outside[0], side="right")) - 1
        raise CompileError(
            f"{name}: row {row}: weight {values[outside[0]]} needs more than the weight_bits = "
            f"{config.weight_bits} of {config.name}; raise weight_bits with --config"
        )


def _check_room(
    chain: ChainPlan,
    core: int,
    start: NDArray[np.int32],
    counts: NDArray[np.int32],
    config: AcceleratorConfig,
) -> None:
    need = start + counts
    if need.max() <= config.weight_words:
        return
    lane, window = np.unravel_index(int(need.argmax()), need.shape)
    raise CompileError(
        f"{chain.matrix}, row group {chain.row_group}: lane {lane}, window {window} of core "
        f"{core} needs {need.max()} weight words, {config.name} stores {config.weight_words}; "
        "prune further or bank-balanced, take a --target with more cores, or raise weight_words "
        "with --config"
    )


def _figures(
    plan: Plan, counts: list[tuple[NDArray[np.int32], ...]]
) -> dict[str, dict[str, float | int]]:
    """By matrix: words of the fullest and the mean stream, and words a row group of the fullest.

    ``longest_per_row_group`` at or below 1 means that the multipliers keep up with a row group a
    cycle; above, it is the least number of cycles a row group.
    """
    figures: dict[str, dict[str, float | int]] = {}
    for name in dict.fromkeys(chain.matrix for chain in plan.chains):
        streams, ratios = [], []
        for chain, of_chain in zip(plan.chains, counts, strict=True):
            if chain.matrix == name:
                streams += [task.reshape(-1) for task in of_chain]
                ratios += [int(task.max()) / chain.row_groups for task in of_chain]
        words = np.concatenate(streams)
        figures[name] = {
            "longest": int(words.max()),
            "mean": round(float(words.mean()), 2),
            "longest_per_row_group": round(max(ratios), 4),
        }
    return figures
