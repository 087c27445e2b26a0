"""Bootstrap confidence intervals of error rates and of their differences.

Percentile bootstrap over utterances [Bisani and Ney 2004, "Bootstrap estimates for confidence
intervals in ASR performance evaluation"]. Utterances of one speaker err alike, so resampling
whole speakers gives wider, more honest intervals where there are enough speakers.

Axes: U utterances, S speakers, B bootstrap samples, N seeds (networks trained alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ManifestError

SAMPLES = 10_000
_BLOCK = 1 << 22  # drawn indices held in memory at once


def check_speakers(speakers: Sequence[str], manifest: Path) -> None:
    """Raise ManifestError unless ``speakers`` [U], "" for unknown, can be drawn.

    One group drawn with replacement is always itself: an interval without width. Utterances of
    unknown speakers are no group: pooled they would be drawn as if one speaker had said them.
    """
    known = sorted({*speakers} - {""})
    unknown = sum(not speaker for speaker in speakers)
    if known and unknown:
        raise ManifestError(
            f"{manifest}: {unknown} of its {len(speakers)} utterances name no speaker, and "
            "--by-speaker draws speakers; name the speaker in each line, or leave out --by-speaker"
        )
    if len(known) < 2:
        found = f"one speaker only, {known[0]!r}" if known else "no speaker"
        raise ManifestError(
            f"{manifest}: its utterances ({len(speakers)}) name {found}, and --by-speaker draws "
            "among two at least; name the speaker in each line, or leave out --by-speaker"
        )


def rate_interval(
    errors: Sequence[int],
    lengths: Sequence[int],
    *,
    speakers: Sequence[str] | None = None,
    confidence: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of ``100 * sum(errors) / sum(lengths)``; each [U].

    With ``speakers`` [U] whole speakers are drawn instead of utterances.
    """
    table = _grouped(np.array([errors, lengths], np.float64), speakers)
    drawn = _resample(table, samples, seed)
    return _percentiles(100.0 * drawn[0] / np.maximum(drawn[1], 1.0), confidence)


def paired_difference(
    errors: Sequence[int],
    other_errors: Sequence[int],
    lengths: Sequence[int],
    *,
    speakers: Sequence[str] | None = None,
    confidence: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Rate of ``errors`` less the rate of ``other_errors`` on the same utterances, and interval.

    Both systems are scored on the same draws, so what makes an utterance hard for both cancels.
    """
    table = _grouped(np.array([errors, other_errors, lengths], np.float64), speakers)
    drawn = _resample(table, samples, seed)
    differences = 100.0 * (drawn[0] - drawn[1]) / np.maximum(drawn[2], 1.0)
    whole = table.sum(axis=1)
    observed = 100.0 * float(whole[0] - whole[1]) / max(float(whole[2]), 1.0)
    return observed, *_percentiles(differences, confidence)


def mean_paired_difference(
    errors: Sequence[Sequence[int]],
    other_errors: Sequence[Sequence[int]],
    lengths: Sequence[int],
    *,
    speakers: Sequence[str] | None = None,
    confidence: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean over seeds of the rate of ``errors`` less that of ``other_errors``, and interval.

    Both are [N, U]: row n holds two networks of one seed on the same utterances. Hierarchical
    bootstrap: each sample draws N seeds, and U utterances that all of them are scored on.
    """
    first, other = np.array(errors, np.float64), np.array(other_errors, np.float64)
    table = _grouped(np.vstack([first - other, np.array(lengths, np.float64)]), speakers)
    drawn = _resample(table, samples, seed)
    by_seed = 100.0 * drawn[:-1] / np.maximum(drawn[-1], 1.0)  # [N, B]
    count = len(by_seed)
    seeds = np.random.default_rng([seed, 1]).integers(count, size=(count, samples))
    means = np.take_along_axis(by_seed, seeds, axis=0).mean(axis=0)
    whole = table.sum(axis=1)
    observed = 100.0 * float(whole[:-1].mean()) / max(float(whole[-1]), 1.0)
    return observed, *_percentiles(means, confidence)


def _grouped(table: NDArray[np.float64], speakers: Sequence[str] | None) -> NDArray[np.float64]:
    """Columns added up by speaker: [rows, U] to [rows, S]."""
    if speakers is None:
        return table
    names, group = np.unique(np.array(speakers), return_inverse=True)
    return np.stack([np.bincount(group, weights=row, minlength=len(names)) for row in table])


def _resample(table: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Sums [rows, B] over draws of as many columns as there are, with replacement."""
    generator = np.random.default_rng(seed)
    units = table.shape[1]
    if units == 0:
        return np.zeros((len(table), samples))
    sums = []
    per_block = max(1, _BLOCK // units)
    for first in range(0, samples, per_block):
        drawn = generator.integers(units, size=(min(per_block, samples - first), units))
        sums.append(table[:, drawn].sum(axis=2))
    return np.concatenate(sums, axis=1)


def _percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
