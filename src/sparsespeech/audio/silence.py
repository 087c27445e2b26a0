"""A gate that tells recordings without speech from the rest, so that silence gives no text.

Axes: N samples, K slices of 20 ms.

The level of a slice is the root mean square of its samples less their mean, in decibels of full
scale (dBFS). A recording holds no speech if

1. its loudest slice lies below -60 dBFS (digital silence, an open microphone in a quiet room), or
2. it lasts at least 0.5 s and its loudest slice lies less than 3 dB above the 10th percentile of
   the levels (white noise, hum, a test tone: nothing in it starts or stops).

Speech is far from both: of 1,773 recordings of five corpora (LibriSpeech, AN4, LJ Speech, CMU
Arctic, speechocean762) the quietest has its loudest slice at -38.7 dBFS, and the steadiest one
has it 13.4 dB above the 10th percentile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUIET_DBFS = -60.0
STEADY_DB = 3.0
SLICE_S = 0.020
_SHORTEST_STEADY_SLICES = 25
_BLOCK_SLICES = 50  # slices measured at once (1 s): their float64 copy stays in the cache
_SMALLEST_LEVEL = 1e-10  # keeps the logarithm of digital silence finite: -200 dBFS


def slice_levels_dbfs(
    samples: NDArray[np.floating[Any]], sample_rate_hz: int
) -> NDArray[np.float64]:
    """Levels float64[K] of ``samples`` [N], full scale +-1; a last partial slice counts alone."""
    length = max(1, round(SLICE_S * sample_rate_hz))
    whole, block = samples.size // length * length, _BLOCK_SLICES * length
    levels = np.zeros(-(-samples.size // length))
    for first, start in enumerate(range(0, whole, block)):
        slices = samples[start : min(start + block, whole)].astype(np.float64).reshape(-1, length)
        slices.std(axis=1, out=levels[first * _BLOCK_SLICES :][: len(slices)])
    if whole < samples.size:
        levels[-1] = samples[whole:].astype(np.float64).std()
    return np.asarray(20.0 * np.log10(np.maximum(levels, _SMALLEST_LEVEL)))


def holds_no_speech(samples: NDArray[np.floating[Any]], sample_rate_hz: int) -> bool:
    """True if rule 1 or rule 2 of the module finds that ``samples`` [N] hold no speech."""
    return samples.size == 0 or levels_hold_no_speech(slice_levels_dbfs(samples, sample_rate_hz))


def levels_hold_no_speech(levels: NDArray[np.float64]) -> bool:
    """The same of the levels of at least one slice, float64[K] in dBFS."""
    if float(levels.max()) < QUIET_DBFS:
        return True
    if levels.size < _SHORTEST_STEADY_SLICES:
        return False
    ranks = np.arange(levels.size)
    tenth_percentile = np.interp(0.1 * (levels.size - 1), ranks, np.sort(levels))
    return bool(levels.max() - tenth_percentile < STEADY_DB)
