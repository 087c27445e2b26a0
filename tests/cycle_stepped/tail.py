"""The tail of a chain: when it may load, and what it makes of the row groups that it pops."""

from __future__ import annotations

from collections import defaultdict

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Chain, Program
from tests.cycle_stepped.clock import Clock
from tests.cycle_stepped.credits import FrameCredits
from tests.cycle_stepped.frame_order import Head
from tests.cycle_stepped.sequence import SequenceMemory
from tests.cycle_stepped.wires import Flit, Port


class Tail:
    """Of the chains, one a direction, that end in one core (T9, T11, T12)."""

    def __init__(
        self,
        program: Program,
        clock: Clock,
        core: int,
        ports: list[Port],
        credits: list[FrameCredits],
        memory: SequenceMemory | None,
    ) -> None:
        self.config: AcceleratorConfig = program.config
        self.clock = clock
        self.ports = ports
        self.memory = memory
        self.chains: dict[int, Chain] = {  # by their last task
            chain.tasks[-1]: chain
            for chain in program.chains
            if program.tasks[chain.tasks[-1]].core == core
        }
        self.role = next(iter(self.chains.values())).role
        outputs: set[int] = set()  # streams; gate inputs are sums between neighbours
        if self.role != "gate_input":
            outputs = {c.output_stream for c in self.chains.values() if c.output_stream is not None}
        self.output_credits = [credits[output] for output in outputs if self.role == "linear"]
        self.room: int | None = None  # frames whose flits have a place; None: they need none
        if outputs:
            frames = self.config.contexts * len(self.chains)
            self.room = self.config.staging_frames if self.role == "linear" else frames
        for output in outputs:
            ports[output].on_put.append(self._put)
        self.core = core
        own = [p for p in ports if p.stream.kind == "credits" and p.stream.source == core]
        self.credit_port = own[0] if own and self.role != "recurrent" else None
        # Of a frame and chain: activations that wait for a flit, flits that are made.
        self.gathered: dict[tuple[Head, int], list[int]] = defaultdict(lambda: [0, 0])

    # ---- load
    def may_load(self) -> bool:
        """Whether the results of one more frame have places."""
        if self.memory is not None and not self.memory.free:
            return False
        if not all(credits.all_there for credits in self.output_credits):
            return False
        return self.room is None or self.room > 0

    def loads(self) -> None:
        """Take those places."""
        if self.memory is not None:
            self.memory.free -= 1
        if self.room is not None:
            self.room -= 1
        for credits in self.output_credits:
            credits.use()

    def _put(self, flit: Flit) -> None:
        if flit.last:
            self.clock.after(self.config.stages.credit, self._leave)

    def _leave(self) -> None:
        assert self.room is not None
        self.room += 1

    # ---- results
    def pops(self, head: Head, task: int, row: int) -> None:
        """A row group was popped: a credit behind the last, and what the row group gives."""
        stages, chain = self.config.stages, self.chains[task]
        done = row == chain.row_groups - 1
        if done and self.credit_port is not None:
            port = self.credit_port
            self.clock.after(stages.credit, lambda: port.queue.append(Flit(self.core, 0, True)))
        if chain.role == "gate_input":
            return
        delay = (self.config.windows.bit_length() - 1) * stages.tree_level
        delay += stages.chain_add + stages.output_register + stages.requantize
        memory = self.memory
        if memory is not None:
            if done:
                self.clock.after(delay + 1 + 1, lambda: memory.write(head))
            return
        count = int((chain.tail.rows[row] >= 0).sum())
        if chain.role == "recurrent":
            count //= 4
            delay += stages.pointwise
        self.clock.after(delay, lambda: self._gather(head, chain, count, done))

    def _gather(self, head: Head, chain: Chain, count: int, done: bool) -> None:
        size, stages = self.config.flit_activations, self.config.stages
        assert chain.output_stream is not None
        queue = self.ports[chain.output_stream].queue
        state = self.gathered[head, chain.output_stream]
        state[0] += count
        while state[0] >= size or (done and state[0]):
            state[0] = max(0, state[0] - size)
            flit = Flit(head, state[1], done and not state[0])
            state[1] += 1
            self.clock.after(stages.flit + stages.inject, lambda f=flit: queue.append(f))
