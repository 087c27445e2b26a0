"""The accelerator program: what each core stores, multiplies and sends, and when it may send.

Axes: N row groups of a task (steps of its loop), R row lanes, Q windows, K columns of a task.
Cores are numbered along the grid's snake path from 0; ``HOST`` is the host's port.

A *task* is one matrix slice on one core. Tasks whose partial sums meet form a *chain*; the last
one, the tail, holds bias, requantization and the non-linearity. A *stream* is a circuit through
the routers, fixed when the program is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.model_file.model import IntegerModel

if TYPE_CHECKING:  # it reads programs
    from sparsespeech.compiler.metrics import ProgramMetrics

HOST = -1

Mapping = Literal["paper", "interleaved"]
MAPPINGS: tuple[Mapping, ...] = ("paper", "interleaved")
Role = Literal["linear", "gate_input", "recurrent"]
StreamKind = Literal["activations", "partial_sums", "gate_inputs", "credits", "order"]
Place = tuple[int, int]  # row and column of a grid site


@dataclass(frozen=True)
class Segment:
    """A run of activations of one stream's frame that a task stores at ``destination``."""

    stream: int
    first: int  # in the frame of the stream
    count: int
    destination: int  # column of the task, 0 .. K-1


@dataclass(frozen=True, eq=False)
class Task:
    """One matrix slice on one core."""

    core: int
    chain: int
    position: int  # in the chain; partial sums go from 0 upwards
    matrix: str  # "layer1.weights", "layer4.forward.input_weights", ...
    columns: tuple[int, int]  # of the matrix: start and stop
    word_start: NDArray[np.int32]  # [R, Q], first word in the weight memory of lane and window
    word_count: NDArray[np.int32]  # [R, Q]
    segments: tuple[Segment, ...]  # what fills its store; recurrent tasks: the fed-back output


@dataclass(frozen=True, eq=False)
class Tail:
    """What the last task of a chain does with a full sum; all arrays are [N, R].

    ``linear`` rows: clamp(R4'(sum + bias) + zero_point, low, high). ``gate_input`` rows: R5's xp,
    saturate16(R4'(sum + bias)). ``recurrent`` rows: R4'(sum + bias), then R5 to R8 with xp.
    """

    rows: NDArray[np.int32]  # row of the matrix, -1 for a lane without one
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    zero_point: int = 0
    low: int = 0
    high: int = 0


@dataclass(frozen=True, eq=False)
class Chain:
    """The tasks that finish one group of rows of one matrix.

    ``first_output`` and ``outputs`` say which outputs of its layer (linear) or of its direction
    (recurrent: units) the chain makes; a gate_input chain makes the xp of the same units.
    """

    name: str  # "layer4.forward.input.0"
    layer: str
    direction: Literal["", "forward", "backward"]
    role: Role
    row_group: int
    tasks: tuple[int, ...]  # in the order of their partial sums
    tail: Tail
    first_output: int
    outputs: int
    output_stream: int | None  # activations or gate inputs; None: to the sequence memory
    gate_chain: int | None = None  # recurrent: the chain that makes its xp

    @property
    def row_groups(self) -> int:
        """N, steps of a pass."""
        return int(self.tail.rows.shape[0])


@dataclass(frozen=True)
class Sink:
    """An end of a stream: a core (or the host) and the number of links to it."""

    core: int
    hops: int


@dataclass(frozen=True)
class Link:
    """One directed link with the wheel slots in which the stream holds it."""

    start: Place
    stop: Place  # equal to ``start`` for the host's port
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """A circuit: flits leave ``source`` in wheel slots and never wait on the way.

    A link goes on from the last link before it in ``links`` that ends at its start, or else from
    the source.
    """

    name: str
    kind: StreamKind
    source: int
    sinks: tuple[Sink, ...]
    slots: tuple[int, ...]  # in which the source may put a flit on its first link
    links: tuple[Link, ...]
    frame: int = 0  # activations of a frame (activations only)

    def to_host(self, link: Link) -> bool:
        """Whether ``link`` of this stream is the host's port outwards; its way in is another."""
        return link.start == link.stop and self.source != HOST


@dataclass(frozen=True)
class Sequence:
    """The memory beside a tail that keeps the frames of an utterance and sends them on.

    ``streams`` are the streams that read it, one for each entry of ``directions``: in arrival
    order ("forward"), reversed after the last frame ("backward"), or both taking turns over one
    stream ("both": the interleaved mapping; then ``order_stream`` carries the turns from the
    first sequence to the others).
    """

    chain: int
    streams: tuple[int, ...]
    directions: tuple[Literal["forward", "backward", "both"], ...]
    frames: int  # that fit
    order_stream: int | None = None

    @property
    def is_ring(self) -> bool:
        """Whether a place is free again once its frame is sent; else a wave keeps its places."""
        return self.directions == ("forward",)


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that is loaded into an accelerator, and what the host needs around it."""

    config: AcceleratorConfig
    mapping: Mapping
    places: tuple[Place, ...]  # of cores 0 .. cores-1
    tasks: tuple[Task, ...]
    chains: tuple[Chain, ...]
    streams: tuple[Stream, ...]
    sequences: tuple[Sequence, ...]
    words: tuple[NDArray[np.uint64], ...]  # a core: [R, Q, words], one weight word each
    accelerated: tuple[str, ...]  # layers on the accelerator; the others run on the host
    model: IntegerModel  # the whole model: features, labels, tables and the host's layers
    facts: dict[str, Any]  # figures that passes leave for the report

    def metrics(self) -> ProgramMetrics:
        """Cores, efficiency, throughput, memory and link loads; see ``compiler/metrics.py``."""
        from sparsespeech.compiler.metrics import program_metrics

        return program_metrics(self)

    def save(self, path: str | Path) -> None:
        """Write NAME.program atomically; see ``compiler/program_file.md`` and its errors.

        The program is proved first, as it is on loading: about a second for a full DeepSpeech.
        """
        from sparsespeech.compiler.program_file import save_program

        save_program(self, Path(path))
