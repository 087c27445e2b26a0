"""K-means in one dimension: the few values that the weights of a matrix share.

Axes: n weights of one matrix (its nonzeros), K values of the codebook, M bins.

Deep compression (Hot Chips report) lets all weights of a matrix share 16 to 64 values. In one
dimension the best K-means needs no luck: clusters are intervals, so dynamic programming finds the
best cuts. It runs exactly where there are at most 1,024 different values (int8 weights), else on
about 1,024 bins. Lloyd's steps on all weights follow. ``linear`` starts from K values evenly
between the smallest and the largest weight instead, which keeps rare large weights apart. No step
is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Initialisation = Literal["optimal", "linear"]
SMALLEST_CODEBOOK, LARGEST_CODEBOOK = 2, 256
_BINS = 1024
_LLOYD_STEPS = 300  # ends long before, when no weight changes its cluster

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Codebook:
    """Shared values float64[K], rising; a weight takes the nearest, the larger one in a tie."""

    values: FloatArray

    def codes(self, weights: NDArray[Any]) -> NDArray[np.int64]:
        """Number of the value of each weight, int64 of any shape."""
        middles = (self.values[1:] + self.values[:-1]) / 2
        return np.searchsorted(middles, weights.astype(np.float64), side="right")

    def quantize(self, weights: NDArray[Any]) -> FloatArray:
        """The shared value of each weight, float64 of any shape."""
        return self.values[self.codes(weights)]


def build_codebook(
    weights: NDArray[Any],
    size: int,
    initialisation: Initialisation = "optimal",
    counts: NDArray[np.int64] | None = None,
) -> Codebook:
    """At most ``size`` values for ``weights`` [n], with little squared error.

    ``counts`` int64[n]: how often each weight occurs, once unless given. The values are exactly
    the weights where no more than ``size`` different ones occur. Raises ValueError for no weights
    and for a size below 1.
    """
    if size < 1 or weights.size == 0:
        raise ValueError(f"cannot share {size} values among {weights.size} weights")
    points = _Points.of(weights, counts)
    if points.value.size <= size:
        return Codebook(points.value)
    if initialisation == "linear":
        start = np.linspace(points.value[0], points.value[-1], size)
    else:
        start = _best_centres(points.binned(size), size)
    return Codebook(_lloyd(points, start))


@dataclass(frozen=True, eq=False)
class _Points:
    """Different values float64[n], rising, with prefix sums float64[n + 1] over them."""

    value: FloatArray
    count: FloatArray  # how many weights stand before each
    total: FloatArray  # their sum
    square: FloatArray  # the sum of their squares

    @classmethod
    def of(cls, weights: NDArray[Any], counts: NDArray[np.int64] | None) -> _Points:
        value, place = np.unique(weights.astype(np.float64), return_inverse=True)
        given = None if counts is None else counts.astype(np.float64)
        count = np.bincount(place, weights=given, minlength=value.size).astype(np.float64)
        return cls(value, *(_running(count * value**power) for power in range(3)))

    def binned(self, least: int) -> _Points:
        """About 1,024 neighbouring groups: half by range, half by number of weights.

        An outlier may take all cuts by range and a repeated weight all by number; more cuts, by
        number of different values, leave no fewer than ``least`` groups, which is at most n.
        """
        size = self.value.size
        if size <= _BINS:
            return self
        by_range = np.linspace(self.value[0], self.value[-1], _BINS // 2)
        by_number = np.linspace(0, self.count[-1], _BINS // 2)
        by_place = np.linspace(0, size, least + 1).astype(np.int64)
        cuts = np.concatenate(
            (
                np.searchsorted(self.value, by_range),
                np.searchsorted(self.count, by_number),
                by_place,
            )
        )
        cuts = np.unique(np.clip(cuts, 0, size))
        return _Points(self.value[cuts[:-1]], self.count[cuts], self.total[cuts], self.square[cuts])


def _running(values: FloatArray) -> FloatArray:
    return np.concatenate((np.zeros(1), np.cumsum(values)))


def _best_centres(points: _Points, size: int) -> FloatArray:
    """Means float64[K] of the ``size`` intervals of points with the least squared error."""
    places = np.arange(points.count.size)
    count = points.count[np.newaxis, :] - points.count[:, np.newaxis]
    total = points.total[np.newaxis, :] - points.total[:, np.newaxis]
    square = points.square[np.newaxis, :] - points.square[:, np.newaxis]
    valid = places[:, np.newaxis] < places[np.newaxis, :]
    # Error of one cluster from point i up to, not including, point j.
    error = np.where(valid, square - total**2 / np.where(valid, count, 1.0), np.inf)
    best = error[0]
    cuts = []
    for _ in range(size - 1):
        candidates = best[:, np.newaxis] + error
        cuts.append(candidates.argmin(axis=0))
        best = candidates.min(axis=0)
    end = points.count.size - 1
    edges = [end]
    for cut in reversed(cuts):
        end = int(cut[end])
        edges.append(end)
    bounds = np.array([0, *reversed(edges)])
    return np.asarray(np.diff(points.total[bounds]) / np.diff(points.count[bounds]))


def _lloyd(points: _Points, centres: FloatArray) -> FloatArray:
    """Means of the nearest points, repeated until no point changes; empty clusters vanish."""
    bounds = np.zeros(0, dtype=np.int64)
    for _ in range(_LLOYD_STEPS):
        middles = (centres[1:] + centres[:-1]) / 2
        inner = np.searchsorted(points.value, middles, side="left")
        moved = np.unique(np.concatenate(([0], inner, [points.value.size])))
        if np.array_equal(moved, bounds):
            break
        bounds = moved
        centres = np.diff(points.total[bounds]) / np.diff(points.count[bounds])
    return centres
