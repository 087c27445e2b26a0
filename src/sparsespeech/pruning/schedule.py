"""Sparsity as a function of epoch and step.

The cubic ramp of gradual magnitude pruning [Zhu & Gupta 2017], used by Algorithm 1 of the MAU
paper: many weights go early, when there are many to spare, and few at the end. Beside it a
straight line, the threshold ramp of [Narang et al. 2017], one-shot pruning and a function of the
user's own. Stages are in ``iterative.py``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sparsespeech.errors import RecipeError


class Schedule(Protocol):
    """When masks change, and to which sparsity."""

    @property
    def end(self) -> int:
        """The step from which on the final sparsity holds."""

    def updates_masks(self, step: int, epoch: int) -> bool:
        """True at the steps where masks are computed anew."""

    def sparsity(self, step: int, epoch: int, goal: float) -> float:
        """Sparsity at ``step`` (0-based) of ``epoch`` for weights that end at ``goal``."""


@dataclass(frozen=True)
class UpdateSteps:
    """Every ``interval`` steps from ``start`` to ``until``, and at ``end`` and ``until``.

    ``end`` is the end of the ramp; ``until`` lies behind it where masks go on changing at
    constant sparsity.
    """

    start: int
    end: int
    interval: int
    until: int = -1

    def updates_masks(self, step: int, epoch: int) -> bool:
        """True at the steps where masks are computed anew."""
        last = max(self.end, self.until)
        if not self.start <= step <= last:
            return False
        return step in (self.end, last) or (step - self.start) % self.interval == 0

    def progress(self, step: int) -> float:
        """0 at ``start``, 1 from ``end`` on."""
        if step >= self.end:
            return 1.0
        return max(0.0, (step - self.start) / (self.end - self.start))


@dataclass(frozen=True)
class PowerRamp(UpdateSteps):
    """s(u) = goal + (initial - goal) (1 - u)^power, u in [0, 1] along the ramp.

    ``power`` 3 is the cubic ramp, 1 a straight line. With ``start`` equal to ``end`` it is
    one-shot pruning.
    """

    initial: float = 0.0
    power: int = 3

    def sparsity(self, step: int, epoch: int, goal: float) -> float:
        """Sparsity at ``step``; 0 before the ramp. The epoch does not matter."""
        if step < self.start:
            return 0.0
        remaining = (1.0 - self.progress(step)) ** self.power
        return goal + (min(self.initial, goal) - goal) * remaining


@dataclass(frozen=True)
class UserRamp(UpdateSteps):
    """Sparsity by a function of (epoch, step); matrices with another goal follow in proportion."""

    function: Callable[[int, int], float] = lambda epoch, step: 0.0
    name: str = ""
    final: float = 0.9

    def sparsity(self, step: int, epoch: int, goal: float) -> float:
        """Sparsity at ``step``; raises RecipeError for a value outside [0, ``final``].

        What the function itself raises is a RecipeError too.
        """
        try:
            value = float(self.function(epoch, step))
        except Exception as error:  # the user's code may fail in any way
            raise RecipeError(
                f"pruning.function: {self.name}({epoch}, {step}) failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not 0.0 <= value <= self.final:
            raise RecipeError(
                f"pruning.function: {self.name}({epoch}, {step}) returned {value}; expected a "
                f"sparsity from 0 to pruning.final_sparsity {self.final}"
            )
        return value / self.final * goal


@dataclass(frozen=True)
class NarangRamp(UpdateSteps):
    """The threshold of [Narang et al. 2017] in units of its last value.

    It rises with one slope up to ``steepens_at`` (share of the ramp) and ``steepening`` times as
    fast from there.
    """

    steepens_at: float = 0.5
    steepening: float = 1.5

    def threshold(self, step: int) -> float:
        """0 at the start of the ramp, 1 from its end on."""
        slow = self.steepens_at
        total = slow + self.steepening * (1.0 - slow)
        progress = self.progress(step)
        risen = min(progress, slow) + self.steepening * max(0.0, progress - slow)
        return 1.0 if step >= self.end else risen / total


def import_function(reference: str) -> Callable[[int, int], float]:
    """The function that ``module:name`` names; raises RecipeError if it cannot be imported."""
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise RecipeError(f"pruning.function: {reference!r} is not written module:name")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module may fail in any way
        raise RecipeError(
            f"pruning.function: cannot import {reference!r}: {type(error).__name__}: {error}; the "
            f"folder of the module must be in PYTHONPATH, and Python must be able to run it"
        ) from error
    if not callable(function):
        raise RecipeError(f"pruning.function: {reference} is no function but {function!r}")
    return function  # type: ignore[no-any-return]  # what it returns is checked at each call
