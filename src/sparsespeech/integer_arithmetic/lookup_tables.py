"""Rule R6 (and its wide form in R10): the tables of sigmoid and tanh, and how they are read.

Number formats: Q4.11 is an int16 that counts 1/2048, Q0.15 an int16 that counts 1/32768.
A table has N segments over |x| < 8; N is 64 (segments of 1/8) or 512 in wide mode (1/64).
Executors, compiler and model file share these integers; no executor computes an exponential.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEGMENTS = 64
WIDE_SEGMENTS = 512
TABLE_SHA256 = {
    SEGMENTS: "73ef77eb49a9ec2a409a09159ff25e50e3badd669f238b74e91cfd2590f916aa",
    WIDE_SEGMENTS: "24ea1b1b1cd5d54b22d0f589bac9846b2ac9aa4c62a8df6f9ea7e7636b68e38f",
}
"""SHA-256 of base then slope as little-endian int16, by number of segments."""

_INPUT_LIMIT = 16384  # 8.0 in Q4.11: the tables end here
_ONE = 32768  # 1.0 in Q0.15
_EXACT = Context(prec=60)


@dataclass(frozen=True, eq=False)
class SigmoidTable:
    """``base``: int16[N + 1] in Q0.15; ``slope``: int16[N], ``base[k + 1] - base[k]``."""

    base: NDArray[np.int16]
    slope: NDArray[np.int16]

    @property
    def segments(self) -> int:
        """N, the number of linear segments over |x| < 8."""
        return int(self.slope.size)


@cache
def sigmoid_table(segments: int = SEGMENTS) -> SigmoidTable:
    """The table of R6 (64 segments) or R10 (512): ``base[k] = floor(32768*sigma(8k/N) + 1/2)``.

    The exponential is taken with 60 decimal digits; no entry lies closer than 1e-4 to a tie, so
    every correct method gives the same integers (their digest is ``TABLE_SHA256``).
    The arrays are read-only. Raises ValueError for another number of segments.
    """
    if segments not in TABLE_SHA256:
        raise ValueError(f"a sigmoid table has 64 or 512 segments, not {segments}")
    base = np.array([_base_entry(k, segments) for k in range(segments + 1)], dtype=np.int16)
    slope = np.diff(base)
    base.flags.writeable = False
    slope.flags.writeable = False
    return SigmoidTable(base, slope)


def model_tables(activation_bits: int = 8) -> dict[str, NDArray[np.int16]]:
    """The tables that a model file holds: ``sigmoid_base`` and ``sigmoid_slope``.

    ``activation_bits`` is 8, or 16 in wide mode (R10).
    """
    table = sigmoid_table(WIDE_SEGMENTS if activation_bits == 16 else SEGMENTS)
    return {"sigmoid_base": table.base, "sigmoid_slope": table.slope}


def table_sha256(base: NDArray[np.int16], slope: NDArray[np.int16]) -> str:
    """SHA-256 (hexadecimal) of ``base`` then ``slope`` as little-endian int16."""
    content = base.astype("<i2").tobytes() + slope.astype("<i2").tobytes()
    return hashlib.sha256(content).hexdigest()


def sigmoid(x: NDArray[np.integer[Any]], table: SigmoidTable) -> NDArray[np.int64]:
    """R6: sigmoid of ``x`` (integers, Q4.11, -32768..32767); int64 of the same shape in Q0.15."""
    magnitude = np.abs(x.astype(np.int64))  # wider than int16: |-32768| must be 32768
    fraction_bits = 8 if table.segments == SEGMENTS else 5  # R10 in wide mode
    inside = np.minimum(magnitude, _INPUT_LIMIT - 1)
    segment = inside >> fraction_bits
    fraction = inside & ((1 << fraction_bits) - 1)
    half = 1 << (fraction_bits - 1)
    base, slope = table.base.astype(np.int64), table.slope.astype(np.int64)
    interpolated = base[segment] + ((slope[segment] * fraction + half) >> fraction_bits)
    positive = np.where(magnitude < _INPUT_LIMIT, interpolated, base[-1])
    result: NDArray[np.int64] = np.where(x < 0, _ONE - positive, positive)
    return result


def tanh(x: NDArray[np.integer[Any]], table: SigmoidTable) -> NDArray[np.int64]:
    """R6: ``2*sigma(saturate16(2x)) - 32768``; Q4.11 in, int64 in Q0.15 out."""
    doubled: NDArray[np.int64] = np.clip(2 * x.astype(np.int64), -32768, 32767)
    return 2 * sigmoid(doubled, table) - _ONE


def _base_entry(k: int, segments: int) -> int:
    """``floor(32768*sigma(8k/N) + 1/2)`` with 60 decimal digits."""
    argument = _EXACT.divide(Decimal(-8 * k), Decimal(segments))
    denominator = _EXACT.add(Decimal(1), _EXACT.exp(argument))
    value = _EXACT.add(_EXACT.divide(Decimal(_ONE), denominator), Decimal("0.5"))
    return int(value.to_integral_value(rounding=ROUND_FLOOR))
