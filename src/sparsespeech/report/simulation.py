"""Everything that a simulation found out about some recordings, for tables, JSON and the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sparsespeech.compiler.program import Program
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.run_figures import RunFigures, UtteranceFigures, run_figures


@dataclass(frozen=True)
class SimulatedRecording:
    """One recording, what was heard in it and when."""

    path: str
    duration_s: float
    text: str
    figures: UtteranceFigures


@dataclass(frozen=True, eq=False)
class Simulation:
    """A run on real speech; recordings in the order of the run."""

    run: Run
    recordings: tuple[SimulatedRecording, ...]
    figures: RunFigures
    wall_s: float  # that simulating took
    verified_logits: int | None  # compared with the reference executor and equal; None: not asked

    @classmethod
    def of_run(
        cls,
        run: Run,
        recordings: tuple[SimulatedRecording, ...],
        wall_s: float,
        verified_logits: int | None,
    ) -> Simulation:
        """With the figures of ``run``."""
        return cls(run, recordings, run_figures(run), wall_s, verified_logits)

    @property
    def program(self) -> Program:
        """What was run."""
        return self.run.program

    @property
    def audio_s(self) -> float:
        """Length of all recordings."""
        return sum(recording.duration_s for recording in self.recordings)

    @property
    def utterance_seconds_per_minute(self) -> float:
        """Speed of the simulator itself."""
        return 60.0 * self.audio_s / self.wall_s

    def to_json(self) -> dict[str, Any]:
        """One plain object."""
        config = self.program.config
        return {
            "target": config.name,
            "mapping": self.program.mapping,
            "frequency_mhz": config.frequency_mhz,
            "utterances": [
                {
                    "path": recording.path,
                    "duration_s": recording.duration_s,
                    "text": recording.text,
                    **asdict(recording.figures),
                }
                for recording in self.recordings
            ],
            **self.figures.to_json(),
            "wall_s": self.wall_s,
            "utterance_seconds_per_minute": self.utterance_seconds_per_minute,
            "verified_logits": self.verified_logits,
        }
