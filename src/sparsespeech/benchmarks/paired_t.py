"""Student's t of paired differences: whether their mean is more than chance between seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PairedT:
    """Mean of N differences over its standard error, N - 1 degrees of freedom.

    ``p`` is two-sided, ``low`` to ``high`` the interval of the mean, in the differences' unit.
    """

    deviation: float
    t: float
    degrees: int
    p: float
    low: float
    high: float


def paired_t(differences: Sequence[float], confidence: float = 0.95) -> PairedT | None:
    """The t of ``differences`` [N]; None for fewer than two, or where all are equal."""
    from scipy.special import stdtr, stdtrit  # half a second that --help must not take

    count = len(differences)
    deviation = statistics.stdev(differences) if count > 1 else 0.0
    if deviation == 0.0:
        return None
    mean, error, degrees = statistics.fmean(differences), deviation / math.sqrt(count), count - 1
    t = mean / error
    half = float(stdtrit(degrees, 0.5 + confidence / 2)) * error
    p = 2.0 * float(stdtr(degrees, -abs(t)))
    return PairedT(deviation, t, degrees, p, mean - half, mean + half)
