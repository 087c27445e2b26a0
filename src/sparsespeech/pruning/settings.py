"""The recipe section ``pruning``: which weights go, when, and in which patterns.

Names of the choices follow their sources: cubic ramp [Zhu & Gupta 2017] and Algorithm 1 of the
MAU paper; threshold ramp [Narang et al. 2017]; iterative prune and fine-tune of the MAU keynote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.structure_settings import Structure, Unstructured
from sparsespeech.training.recipe_section import (
    Count,
    Positive,
    RecipeSection,
    Share,
    Sparsity,
    first_problem,
)

_RAMPS = ("cubic", "linear", "threshold", "function")


Scope = Literal["layer", "gate", "global"]


class MatrixSettings(RecipeSection):
    """What the matrices of one regular expression do differently; None: as the section says.

    ``sparsity`` takes a matrix out of a global selection; ``minimum`` and ``maximum`` only bound
    what the global selection may give it.
    """

    sparsity: Sparsity | None = None
    minimum: Sparsity | None = None
    maximum: Sparsity | None = None
    structure: Structure | None = None
    scope: Scope | None = None


def _exception_kind(value: object) -> str:
    return "settings" if isinstance(value, dict | MatrixSettings) else "sparsity"


# Told apart by their type, so that a message speaks of what was written.
MatrixException = Annotated[
    Annotated[Sparsity, Tag("sparsity")] | Annotated[MatrixSettings, Tag("settings")],
    Discriminator(_exception_kind),
]

# The first layer bears less than the others; the output layer is small and decides. In a network
# with other names the last matrix is the output layer.
OUTPUT_LAYER = r"^layer6\."
DEFAULT_EXCEPTIONS: dict[str, MatrixException] = {r"^layer1\.": 0.85, OUTPUT_LAYER: 0.0}


class ThresholdRamp(RecipeSection):
    """Narang's ramp: magnitudes below a growing threshold are pruned.

    The threshold grows linearly, and ``steepening`` times as fast from the share ``steepens_at``
    of the ramp on. It ends at the magnitude that, at the ramp's start, the wanted share of the
    weights lies below: both slopes follow from the weights. Weights that grow meanwhile escape,
    so the sparsity reached differs from the wanted one.
    """

    steepens_at: Share = 0.5
    steepening: Positive = 1.5


class Stage(RecipeSection):
    """One round of iterative pruning: prune to ``sparsity``, then fine-tune for ``steps``."""

    sparsity: Sparsity
    steps: Count


class Regrowth(RecipeSection):
    """Straight-through pruning: pruned weights go on learning unseen and may come back.

    Masks are chosen anew from all weights until the ramp's end, or until the share ``until`` of
    the run.
    """

    until: Share | None = None


class Pruning(RecipeSection):
    """Magnitude pruning during training.

    ``start`` and ``end`` are shares of all steps, or epochs with ``unit: epochs``; masks change at
    least ``updates`` and at most twice as many times between them, in a shorter ramp at every step.
    ``shape`` is the course of the sparsity: ``one_shot`` prunes once, at ``start``; ``iterative``
    follows ``stages``; ``function`` calls ``function``, written ``module:name``, with epoch and
    step. ``exceptions`` maps regular expressions over parameter
    names to their own final sparsity or settings, the last match counts; ``include`` limits
    pruning to the names that one of its expressions matches. ``from_sensitivity`` is a
    ``sensitivity.json`` whose suggested sparsities, scanned in the same structure, replace
    ``final_sparsity`` and the default exceptions. ``minimum_sparsity`` and ``maximum_sparsity``
    bound each matrix under scope ``global``. With ``keep_zeros`` weights that are zero before step
    0 count as pruned.
    """

    final_sparsity: Sparsity
    initial_sparsity: Sparsity = 0.0
    unit: Literal["share", "epochs"] = "share"
    start: Annotated[float, Field(ge=0.0)] = 0.25
    end: Annotated[float, Field(ge=0.0)] = 0.5
    updates: Count = 80
    shape: Literal["cubic", "linear", "threshold", "function", "one_shot", "iterative"] = "cubic"
    threshold: ThresholdRamp = ThresholdRamp()
    function: str | None = None
    stages: tuple[Stage, ...] = ()
    rewind_to: Share = 0.0
    scope: Scope = "layer"
    minimum_sparsity: Sparsity = 0.0
    maximum_sparsity: Sparsity = 0.99
    structure: Structure = Unstructured()
    include: tuple[str, ...] = ()
    exceptions: dict[str, MatrixException] = Field(default_factory=lambda: dict(DEFAULT_EXCEPTIONS))
    from_sensitivity: str | None = None
    keep_zeros: bool = False
    regrowth: Regrowth | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Pruning:
        if self.unit == "share" and max(self.start, self.end) > 1.0:
            raise ValueError(
                f"start {self.start} and end {self.end} are shares of the run, at most 1; "
                f"set unit to epochs if they are epochs"
            )
        if self.shape in _RAMPS and not self.start < self.end:
            raise ValueError(f"pruning.start {self.start} must be below pruning.end {self.end}")
        if (self.shape == "function") != (self.function is not None):
            raise ValueError("shape: function and function: module:name go together")
        if (self.shape == "iterative") != bool(self.stages):
            raise ValueError("shape: iterative and a list of stages go together")
        self._check_sparsities()
        if self.regrowth is not None and (self.stages or self.keep_zeros):
            raise ValueError("regrowth goes together neither with stages nor with keep_zeros")
        return self

    def _check_sparsities(self) -> None:
        if self.minimum_sparsity > self.maximum_sparsity:
            raise ValueError(
                f"minimum_sparsity {self.minimum_sparsity} is above "
                f"maximum_sparsity {self.maximum_sparsity}"
            )
        wanted = [stage.sparsity for stage in self.stages]
        if wanted != sorted(set(wanted)):
            raise ValueError(f"the sparsities of stages must rise, got {wanted}")
        if wanted and wanted[-1] != self.final_sparsity:
            raise ValueError(
                f"the last stage's sparsity {wanted[-1]} must be final_sparsity "
                f"{self.final_sparsity}"
            )
        if self.shape in ("function", "iterative") and self.final_sparsity == 0:
            raise ValueError(f"shape: {self.shape} needs a final_sparsity above 0")

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Pruning:
        """Check the plain values of a section by itself; raises RecipeError in one line."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(first_problem(error, "pruning")) from None

    def ramp(self, steps: int, steps_per_epoch: int) -> tuple[int, int]:
        """First and last step of the ramp in a run of ``steps``."""
        scale = steps if self.unit == "share" else steps_per_epoch
        first = round(self.start * scale)
        if self.shape == "one_shot":
            return first, first
        if self.shape == "iterative":
            return first, first + sum(stage.steps for stage in self.stages[:-1])
        return first, round(self.end * scale)

    def check_run(self, steps: int, steps_per_epoch: int) -> None:
        """Raise ValueError where the ramp does not fit into a run of ``steps``."""
        first, last = self.ramp(steps, steps_per_epoch)
        if not first <= last < steps or (first == last and self.shape in _RAMPS):
            raise ValueError(
                f"the pruning ramp is steps {first} to {last} of {steps}: it must hold at least "
                f"one step and end before the last one"
            )
        needed = first + sum(stage.steps for stage in self.stages)
        if needed > steps:
            raise ValueError(
                f"the pruning stages need {needed} steps, but optimizer.steps is {steps}"
            )

    def check_rounds(self) -> None:
        """Raise ValueError for keys that the rounds of ``repeat_until`` have no use for."""
        if self.stages:
            raise ValueError(
                "repeat_until prunes in rounds of its own: leave out pruning.stages (--iterative)"
            )
        if self.regrowth is not None:
            raise ValueError(
                "repeat_until keeps the zeros of earlier rounds: leave out pruning.regrowth"
            )
        if self.from_sensitivity is not None:
            raise ValueError(
                "repeat_until scans before every round: leave out pruning.from_sensitivity (--from)"
            )

    def check_decay(self, decay_start: float) -> None:
        """Raise ValueError where the learning rate decays inside a ramp: that ruins a network.

        Stages have a learning-rate schedule each, and a ramp in epochs is the user's to place.
        """
        if self.unit == "share" and self.shape in _RAMPS and decay_start < self.end:
            raise ValueError(
                f"optimizer.decay_start {decay_start} is before pruning.end {self.end}: the "
                f"learning rate must not decay during the ramp"
            )
