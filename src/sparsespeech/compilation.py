"""Compiling for users: a model by name, a target by name, and the better of two mappings.

It stands above compiler and simulator: of two mappings the better one is known when both have been
compiled and their cycles counted. Timing depends on the pattern of the nonzeros alone, so counting
needs no input and takes less time than compiling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.latency_model import FRAMES_OF_A_SECOND
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import HOST, MAPPINGS, Mapping, Program
from sparsespeech.errors import CompileError, NoProgramError
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from sparsespeech.simulator.run_figures import cycles_per_frame
from sparsespeech.simulator.simulator import Simulator

DEFAULT_TARGET = "mau-stratix10"
UTTERANCES_IN_FLIGHT = 2  # for throughput: one computes while the other waits for its last step
MappingName = Literal["paper", "interleaved", "auto"]
Objective = Literal["latency", "throughput"]
After = Callable[[str, Plan], None]


@dataclass(frozen=True)
class MappingCount:
    """Simulated cycles of one mapping; ``misfit`` says why it has none."""

    mapping: Mapping
    cycles: float | None  # of an utterance ("latency") or a frame ("throughput")
    misfit: str | None = None


@dataclass(frozen=True)
class MappingChoice:
    """Which mapping was taken, and the cycles that decided."""

    mapping: Mapping
    objective: Objective
    utterances: int  # in flight together
    frames: int  # of each utterance
    counts: tuple[MappingCount, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"source": "simulated", **asdict(self)}

    @property
    def reason(self) -> str:
        """One line for a person."""
        what = f"latency of {self.frames} frames"
        if self.objective == "throughput":
            what = f"cycles a frame, {self.utterances} utterances of {self.frames} in flight"
        parts = [
            f"{one.mapping} does not compile ({one.misfit})"
            if one.cycles is None
            else f"{one.mapping} {one.cycles:,.1f}".removesuffix(".0") + " cycles"
            for one in self.counts
        ]
        return f"{self.mapping} mapping chosen by simulated {what}: {', '.join(parts)}"


def compile_model(
    model: IntegerModel | str | Path,
    target: str | AcceleratorConfig = DEFAULT_TARGET,
    *,
    mapping: MappingName = "paper",
    objective: Objective = "latency",
    host_layers: tuple[str, ...] | None = None,
    after: After | None = None,
) -> Program:
    """The program of a model (or of a model file, or of a bundled model's name) for a target.

    ``mapping`` "auto" takes the one that :func:`choose_program` finds better for ``objective``;
    ``host_layers`` and ``after`` are those of :func:`.lower`. Raises CompileError for a model that
    does not fit, NoProgramError for one that no program runs yet, AcceleratorConfigError for an
    unknown target, ModelFileError for a file that is none.
    """
    contents = model if isinstance(model, IntegerModel) else read_model(resolve_model(model))
    config = target if isinstance(target, AcceleratorConfig) else named_target(target)
    if mapping == "auto":
        return choose_program(contents, config, objective, host_layers=host_layers, after=after)[0]
    return lower(contents, config, mapping, host_layers=host_layers, after=after)


def choose_program(
    model: IntegerModel,
    config: AcceleratorConfig,
    objective: Objective = "latency",
    *,
    host_layers: tuple[str, ...] | None = None,
    after: After | None = None,
) -> tuple[Program, MappingChoice]:
    """The program that needs fewer cycles; the paper's mapping if both need as many.

    "latency" counts an utterance of a second that has the machine to itself, "throughput" the
    cycles between frames with utterances in flight; shorter ones where the sequence memory of a
    mapping does not hold a second. ``after`` sees the plans of both mappings. Raises CompileError
    with what is wrong with each mapping if neither compiles, NoProgramError as :func:`.lower`.
    """
    programs: dict[Mapping, Program] = {}
    misfits: dict[Mapping, CompileError] = {}
    for mapping in MAPPINGS:
        try:
            programs[mapping] = lower(model, config, mapping, host_layers=host_layers, after=after)
        except NoProgramError:
            raise
        except CompileError as error:
            misfits[mapping] = error
    if not programs:
        raise _no_mapping(misfits)
    utterances, frames = _workload(programs.values(), objective)
    cycles = {
        mapping: _count(program, objective, utterances, frames)
        for mapping, program in programs.items()
    }
    counts = tuple(
        MappingCount(mapping, cycles.get(mapping), _message(misfits.get(mapping)))
        for mapping in MAPPINGS
    )
    best = min(cycles, key=lambda mapping: cycles[mapping])
    return programs[best], MappingChoice(best, objective, utterances, frames, counts)


def _workload(programs: Iterable[Program], objective: Objective) -> tuple[int, int]:
    """Utterances in flight and frames of each, the same for all ``programs``."""
    places, contexts = FRAMES_OF_A_SECOND * UTTERANCES_IN_FLIGHT, UTTERANCES_IN_FLIGHT
    for program in programs:
        contexts = min(contexts, program.config.contexts)
        for sequence in program.sequences:
            if sequence.chain != HOST:
                places = min(places, sequence.frames)
    utterances = 1 if objective == "latency" else min(contexts, places)
    return utterances, min(FRAMES_OF_A_SECOND, places // utterances)


def _count(program: Program, objective: Objective, utterances: int, frames: int) -> float:
    simulator = Simulator(program)
    if objective == "latency":
        return simulator.timing([[frames]]).latencies[0][0]
    return cycles_per_frame(simulator.timing, utterances, frames)


def _no_mapping(misfits: dict[Mapping, CompileError]) -> CompileError:
    """One error for all mappings: the first with its hints, of the other ones what differs."""
    (first, error), *others = misfits.items()
    different = [
        f"; {mapping} mapping: {_head(other)}"
        for mapping, other in others
        if _head(other) != _head(error)
    ]
    return CompileError(f"{first} mapping: {error}{''.join(different)}") if different else error


def _head(error: CompileError) -> str:
    """What is wrong, without details and hints."""
    return re.split(r"[;.] ", str(error), maxsplit=1)[0]


def _message(error: CompileError | None) -> str | None:
    return None if error is None else str(error)
