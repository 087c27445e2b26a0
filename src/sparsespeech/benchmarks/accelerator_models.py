"""Programs and inputs of the accelerator's benchmarks, and one simulated run of them.

Axes: R row lanes, Q windows, N row groups of a task.

Cycles depend on where the nonzeros are and on nothing else, so that runs without values, given as
lengths, have the cycles of any speech.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.compilation import DEFAULT_TARGET, compile_model
from sparsespeech.compiler.latency_model import FRAMES_OF_A_SECOND
from sparsespeech.compiler.metrics import ProgramMetrics, throughput_tops
from sparsespeech.compiler.program import MAPPINGS, Mapping, Program
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.simulator.fabric import RowEnds
from sparsespeech.simulator.machine import Run, simulate
from sparsespeech.simulator.run_figures import cycles_per_frame
from sparsespeech.simulator.weights import task_weights

Progress = Callable[[str], None]


@dataclass(frozen=True)
class AcceleratorOptions:
    """What these benchmarks share; ``on_progress`` is told what is computed now.

    ``utterances`` are in flight together where throughput is asked for; ``frames`` each has.
    """

    model: IntegerModel
    target: str | AcceleratorConfig = DEFAULT_TARGET
    frames: int = FRAMES_OF_A_SECOND
    utterances: int = 2
    on_progress: Progress = lambda what: None

    def compile(self, mapping: Mapping) -> Program:
        """The program; raises CompileError for a model that does not fit."""
        self.on_progress(f"compiling, {mapping} mapping")
        return compile_model(self.model, self.target, mapping=mapping)

    def programs(self, result: BenchResult) -> Iterator[Program]:
        """The program of each mapping; one that does not compile is noted in ``result``.

        Raises CompileError if none does.
        """
        failures: list[CompileError] = []
        for mapping in MAPPINGS:
            try:
                program = self.compile(mapping)
            except CompileError as error:
                failures.append(error)
                note = f"{mapping} mapping: {error}"
                result.config.setdefault("left_out", []).append(note)
                continue
            yield program
        if len(failures) == len(MAPPINGS):
            raise failures[0]

    def facts(self) -> dict[str, object]:
        """For the ``config`` of a result: machine, target, network."""
        name = self.target if isinstance(self.target, str) else self.target.name
        training = self.model.training or {}
        trained = training.get("recipe", {}).get("name", "random")
        return {
            "backend": "simulator",
            "target": name,
            "weights": training.get("corpus", trained),
            "frames": self.frames,
        }


@dataclass(frozen=True, eq=False)
class TimedProgram:
    """A program whose images have been read once."""

    program: Program
    row_ends: tuple[RowEnds, ...]  # a task, [R, Q, N]
    metrics: ProgramMetrics

    @classmethod
    def of(cls, program: Program) -> TimedProgram:
        """Raises ProgramFileError for images that no core can execute."""
        tasks = range(len(program.tasks))
        row_ends = tuple(task_weights(program, task).row_end for task in tasks)
        return cls(program, row_ends, program.metrics())

    def run(self, waves: Sequence[Sequence[int]]) -> Run:
        """Utterances given by their frames; those of a wave are in flight together."""
        return simulate(self.program, self.row_ends, waves)

    def cycles_per_frame(self, utterances: int, frames: int) -> float:
        """:func:`.run_figures.cycles_per_frame` of this program."""
        return cycles_per_frame(self.run, utterances, frames)

    def effective_tops(self, cycles_per_frame: float) -> float:
        """Two operations for each dense weight on the accelerator, zeros too, a frame."""
        return throughput_tops(self.metrics.weights, cycles_per_frame, self.program.config)

    def real_tops(self, cycles_per_frame: float) -> float:
        """Two operations for each weight that is not zero."""
        return throughput_tops(self.metrics.nonzeros, cycles_per_frame, self.program.config)
