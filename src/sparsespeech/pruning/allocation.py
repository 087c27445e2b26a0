"""How sparse each matrix becomes for a wanted total: every matrix may raise the loss equally.

Step 1 of the sensitivity-based flow of the ESE/DDESE deck (S4) measures, for each matrix alone,
the loss against its sparsity. Here a threshold on the increase of the loss gives each matrix the
largest sparsity that stays below it; bisection finds the threshold that meets the total.

Sparsities are shares of zeros, 0 to 1; losses are CTC losses in nats a character.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsespeech.errors import SensitivityError

_BISECTIONS = 60
_DIGITS = 4  # of a suggested sparsity


@dataclass(frozen=True)
class LossCurve:
    """Loss of the network against the sparsity of one matrix, the others as they are.

    ``present`` is the sparsity that the matrix has already; up to there the loss does not rise.
    """

    name: str
    parameters: int
    points: tuple[tuple[float, float], ...]  # (sparsity, loss), sparsity increasing
    present: float = 0.0

    @property
    def end(self) -> float:
        """The largest sparsity of which the loss is known."""
        return max(self.present, *(sparsity for sparsity, _ in self.points), 0.0)

    def increases(self, loss_dense: float, noise: float = 0.0) -> list[tuple[float, float]]:
        """(sparsity, increase of the loss beyond ``noise``) from (0, 0) on, never falling.

        A loss below that of an earlier point is luck of this sample: the running maximum keeps
        it from making a matrix look free.
        """
        curve = [(0.0, 0.0), (self.present, 0.0)]
        for sparsity, loss in self.points:
            if sparsity > self.present:
                curve.append((sparsity, max(curve[-1][1], loss - loss_dense - noise)))
        return curve


@dataclass(frozen=True)
class Limits:
    """Smallest and largest sparsity of one matrix."""

    smallest: float
    largest: float


@dataclass(frozen=True)
class Allocation:
    """Suggested sparsities; ``total`` is what they come to over all weight matrices.

    ``loss_increase`` is the threshold: no matrix, pruned alone, was measured to cost more, except
    where its smallest sparsity says so.
    """

    target: float
    total: float
    loss_increase: float
    matrices: dict[str, float]


def resolve_limits(
    names: Sequence[str], default: Limits, exceptions: Mapping[str, Limits]
) -> dict[str, Limits]:
    """Limits by name: ``default``, or those of the last regular expression that matches.

    Raises SensitivityError for an expression that matches no weight matrix.
    """
    limits = dict.fromkeys(names, default)
    for expression, limit in exceptions.items():
        try:
            pattern = re.compile(expression)
        except re.error as error:
            raise SensitivityError(f"{expression!r} is not a regular expression: {error}") from None
        matched = [name for name in names if pattern.search(name)]
        if not matched:
            raise SensitivityError(
                f"{expression!r} matches no weight matrix; the matrices are {', '.join(names)}"
            )
        limits.update(dict.fromkeys(matched, limit))
    return limits


def allocate(
    curves: Sequence[LossCurve], loss_dense: float, target: float, limits: Mapping[str, Limits]
) -> Allocation:
    """Sparsities whose mean, weighted by the sizes of the matrices, is ``target``.

    Increases within :func:`scan_noise` count as none: otherwise, at low totals, chance decides
    which matrix is spared. Where the target costs no more than that, all matrices get the same
    share of what they bear beyond the zeros they have. Where those alone come to more than the
    target, they are what is suggested. Raises SensitivityError where the limits do not allow it.
    """
    noise = scan_noise(curves, loss_dense)
    increases = {curve.name: curve.increases(loss_dense, noise) for curve in curves}
    sizes = {curve.name: curve.parameters for curve in curves}

    def at(threshold: float) -> dict[str, float]:
        return {
            name: min(max(largest_sparsity(curve, threshold), limits[name].smallest),
                      limits[name].largest)
            for name, curve in increases.items()
        }  # fmt: skip

    check_target(curves, target, limits)
    low, high = 0.0, max(curve[-1][1] for curve in increases.values())
    if total_sparsity(at(low), sizes) >= target:  # free of charge: prune less than that
        # But no matrix less than it is: its zeros stay, and the total would be above the target.
        below = {
            curve.name: min(max(curve.present, limits[curve.name].smallest),
                            limits[curve.name].largest)
            for curve in curves
        }  # fmt: skip
        above, high = at(low), 0.0
    else:
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if total_sparsity(at(middle), sizes) < target:
                low = middle
            else:
                high = middle
        below, above = at(low), at(high)
    matrices = _blend(below, above, sizes, target)
    return Allocation(target, total_sparsity(matrices, sizes), noise + high, matrices)


def scan_noise(curves: Sequence[LossCurve], loss_dense: float) -> float:
    """How far chance moves a loss: the largest fall that removing weights brought about."""
    lowest = min((loss for curve in curves for _, loss in curve.points), default=loss_dense)
    return max(0.0, loss_dense - lowest)


def largest_sparsity(curve: Sequence[tuple[float, float]], threshold: float) -> float:
    """Largest sparsity whose increase, linear between the points, is at most ``threshold``.

    ``curve`` starts at (0, 0) and never falls; beyond its last point nothing is assumed.
    """
    for (left, increase), (right, next_increase) in itertools.pairwise(curve):
        if next_increase > threshold:
            share = (threshold - increase) / (next_increase - increase)
            return left + share * (right - left)
    return curve[-1][0]


def total_sparsity(matrices: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """Share of zeros over all matrices together."""
    zeros = sum(sparsity * sizes[name] for name, sparsity in matrices.items())
    return zeros / sum(sizes[name] for name in matrices)


def _blend(
    below: Mapping[str, float], above: Mapping[str, float], sizes: Mapping[str, int], target: float
) -> dict[str, float]:
    """Between two allocations around ``target``: a flat part of a curve is a jump in the total.

    ``below`` where that is above the target already.
    """
    lower, upper = total_sparsity(below, sizes), total_sparsity(above, sizes)
    share = max(0.0, (target - lower) / (upper - lower)) if upper > lower else 1.0
    return {
        name: round(below[name] + share * (above[name] - below[name]), _DIGITS) for name in below
    }


def check_target(curves: Sequence[LossCurve], target: float, limits: Mapping[str, Limits]) -> None:
    """Raise SensitivityError where ``limits`` and the ends of ``curves`` do not allow ``target``.

    The losses play no part, so that this is known before any is measured.
    """
    sizes = {curve.name: curve.parameters for curve in curves}
    fewest = {name: limits[name].smallest for name in sizes}
    most = {
        curve.name: min(max(curve.end, limits[curve.name].smallest), limits[curve.name].largest)
        for curve in curves
    }
    check_reachable(target, total_sparsity(fewest, sizes), total_sparsity(most, sizes))


def check_reachable(target: float, fewest: float, most: float) -> None:
    """Raise SensitivityError where ``target`` lies outside the total sparsities of the limits."""
    tolerance = 10.0**-_DIGITS / 2
    if target > most + tolerance:
        raise SensitivityError(
            f"a total sparsity of {target:.4g} is out of reach: with the limits given the matrices "
            f"come to {most:.4g} at most; ask for less, raise a limit, or scan higher sparsities"
        )
    if target < fewest - tolerance:
        raise SensitivityError(
            f"a total sparsity of {target:.4g} is below {fewest:.4g}, which the smallest "
            f"sparsities alone come to; ask for more or lower them"
        )
