"""Rule T11: the host's frames through the linear layers, up to the sequence memories.

All times are cycles; frames are numbered in the order of the host.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.program import HOST
from sparsespeech.simulator.core import Times
from sparsespeech.simulator.fabric import Fabric
from sparsespeech.simulator.network import flit_count
from sparsespeech.simulator.sequence import Frame, SequenceMemory


class LinearLayers:
    """All linear chains; computes a frame as soon as somebody asks for it."""

    def __init__(self, fabric: Fabric, frames: list[Frame], memories: list[SequenceMemory]) -> None:
        """``frames`` in the order of the host."""
        self._fabric = fabric
        self._frames = frames
        self._blocks = [
            index for index, wiring in enumerate(fabric.wirings) if not wiring.recurrent
        ]
        self._memories = {memory.sequence.chain: memory for memory in memories}
        sequences = {stream for memory in memories for stream in memory.sequence.streams}
        self._host_streams = [
            index
            for index, stream in enumerate(fabric.program.streams)
            if stream.kind == "activations" and stream.source == HOST and index not in sequences
        ]
        self._done = 0
        if HOST in self._memories:  # no linear layer: the frames are there
            for _ in frames:
                self._memories[HOST].write(0)

    def reach(self, number: int) -> None:
        """Compute the frames up to ``number``, or as far as places in the memories are known."""
        while self._done <= number:
            free = {
                chain: memory.place_free(self._done) for chain, memory in self._memories.items()
            }
            if any(place is None for place in free.values()):
                return
            self._advance(self._frames[self._done], {c: p for c, p in free.items() if p})
            self._done += 1

    def _advance(self, frame: Frame, places: dict[int, int]) -> None:
        put_on: dict[int, Times] = {}
        for stream in self._host_streams:
            ready = self._fabric.credits(stream, frame.number, HOST)
            size = self._fabric.program.streams[stream].frame
            flits = flit_count(size, self._fabric.config.flit_activations)
            put_on[stream] = self._fabric.put_on(stream, np.full(flits, ready, dtype=np.int64))
            self._fabric.record.host_frames.append((frame, int(put_on[stream][0])))
        for block in self._blocks:
            self._pass(block, frame, put_on, places)

    def _pass(
        self, block: int, frame: Frame, put_on: dict[int, Times], places: dict[int, int]
    ) -> None:
        fabric = self._fabric
        wiring = fabric.wirings[block]
        variant = wiring.variants[0]
        complete: NDArray[np.int64] = np.array(
            [
                fabric.complete(parts, put_on, core)
                for parts, core in zip(variant.parts, wiring.cores, strict=True)
            ],
            dtype=np.int64,
        )
        complete[-1] = max(complete[-1], places.get(variant.chain, 0))
        output = fabric.program.chains[variant.chain].output_stream
        if output is not None:
            credits = fabric.credits(output, frame.number, wiring.cores[-1])
            complete[-1] = max(complete[-1], credits)
        step = fabric.advance(block, 0, complete, frame)
        results = fabric.put_results_on(block, variant, step, frame)
        if results is not None and output is not None:
            put_on[output] = results
        if variant.chain in self._memories:
            stages = fabric.config.stages
            written = step.last_pop(-1) + fabric.tree + stages.requantize + 1
            self._memories[variant.chain].write(written + 1)
