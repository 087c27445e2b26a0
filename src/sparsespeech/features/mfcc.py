"""Mel-frequency cepstral coefficients, the same numbers offline and in streams.

Axes: n samples, T frames, K bins of the power spectrum, M mel filters, F coefficients.

Front end of the MAU paper, section II: 25 ms windows every 20 ms, 26 coefficients. A frame is
computed from its own samples only, by element-wise operations, per-row sums and per-row FFTs.
No BLAS product is used: the result of a gemm row may depend on how many rows it is given, and
then a stream cut differently would give other features than the whole recording.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError

Float64Array = NDArray[np.float64]
WindowName = Literal["hamming", "hann", "rectangular"]
SMALLEST_POWER = 2.0**-52  # keeps the logarithm of digital silence finite


@dataclass(frozen=True)
class MfccConfig:
    """Every constant of the front end; stored in the model file.

    Lengths are in samples. ``lifter`` 0 means none. ``context`` is the number of frames on each
    side that the first layer sees (9 + 1 + 9 frames of 26 = 494 inputs).
    """

    sample_rate_hz: int = 16000
    window_length: int = 400
    stride: int = 320
    fft_length: int = 512
    window: WindowName = "hamming"
    preemphasis: float = 0.97
    filters: int = 26
    coefficients: int = 26
    lowest_hz: float = 0.0
    highest_hz: float = 8000.0
    lifter: int = 0
    first_coefficient: Literal["c0", "log_energy"] = "c0"
    context: int = 9

    def __post_init__(self) -> None:
        """Raise ModelFileError for constants that no front end can have."""
        checks = {
            "0 < stride <= window_length <= fft_length": 0
            < self.stride
            <= self.window_length
            <= self.fft_length
            <= 2**16,
            "1 <= coefficients <= filters <= 256": 1 <= self.coefficients <= self.filters <= 256,
            "0 <= lowest_hz < highest_hz <= sample_rate_hz / 2": 0
            <= self.lowest_hz
            < self.highest_hz
            <= self.sample_rate_hz / 2,
            "0 <= preemphasis < 1": 0 <= self.preemphasis < 1,
            "0 <= context <= 100": 0 <= self.context <= 100,
            "lifter >= 0": self.lifter >= 0,
            f"window in {get_args(WindowName)}": self.window in get_args(WindowName),
            "first_coefficient is c0 or log_energy": self.first_coefficient in ("c0", "log_energy"),
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise ModelFileError(f"feature constants break the rule {broken[0]}: {self}")

    @property
    def frame_duration_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.stride / self.sample_rate_hz

    @property
    def inputs(self) -> int:
        """Width of one context window."""
        return (2 * self.context + 1) * self.coefficients

    def frame_count(self, samples: int) -> int:
        """Frames of a recording: 1 + ceil(max(0, n - window) / stride); none for no samples."""
        if samples == 0:
            return 0
        return 1 + -(-max(0, samples - self.window_length) // self.stride)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for the model file."""
        return {"kind": "mfcc", **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MfccConfig:
        """Inverse of :meth:`to_json`; raises ModelFileError on unknown or mistyped keys."""
        expected = {field.name: type(field.default) for field in fields(cls)}
        given = {key: value for key, value in values.items() if key != "kind"}
        if values.get("kind") != "mfcc" or set(given) != set(expected):
            raise ModelFileError(
                f"features must be kind 'mfcc' with keys {sorted(expected)}, got {sorted(values)}"
            )
        for key, value in given.items():
            if type(value) is not expected[key]:
                raise ModelFileError(
                    f"feature constant {key} must be {expected[key].__name__}, got {value!r}"
                )
        return cls(**given)


class MfccExtractor:
    """Samples in, frames out; feed chunks of any size with ``accept``, end with ``finish``.

    The frames of a stream are bit-identical to those of the whole recording.
    """

    def __init__(self, config: MfccConfig) -> None:
        """Build the tables for ``config``."""
        self.config = config
        self._front_end = _FrontEnd(config)
        self._pending: Float64Array = np.zeros(0)  # pre-emphasised samples not yet used up
        self._last_sample = 0.0
        self._accepted = 0
        self._emitted = 0

    def accept(self, samples: NDArray[np.floating[Any]]) -> Float64Array:
        """Frames float64[t, F] that are complete after these samples (float[n], +-1 full scale)."""
        chunk = np.asarray(samples, dtype=np.float64)
        if chunk.size:
            emphasised = self._emphasise(chunk)
            self._pending = np.concatenate((self._pending, emphasised))
            self._accepted += chunk.size
        config = self.config
        ready = max(0, (self._pending.size - config.window_length) // config.stride + 1)
        return self._emit(ready)

    def finish(self) -> Float64Array:
        """The last frames float64[t, F], the tail padded with zeros; resets the extractor."""
        remaining = self.config.frame_count(self._accepted) - self._emitted
        needed = (remaining - 1) * self.config.stride + self.config.window_length
        if remaining > 0:
            padding = np.zeros(max(0, needed - self._pending.size))
            self._pending = np.concatenate((self._pending, padding))
        frames = self._emit(remaining)
        self._pending = np.zeros(0)
        self._last_sample, self._accepted, self._emitted = 0.0, 0, 0
        return frames

    def _emphasise(self, chunk: Float64Array) -> Float64Array:
        previous = np.concatenate(([self._last_sample], chunk[:-1]))
        self._last_sample = float(chunk[-1])
        return chunk - self.config.preemphasis * previous

    def _emit(self, count: int) -> Float64Array:
        if count <= 0:
            return np.zeros((0, self.config.coefficients))
        stride, length = self.config.stride, self.config.window_length
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, length)
        frames = self._front_end.coefficients(windows[::stride][:count])
        self._pending = self._pending[count * stride :]
        self._emitted += count
        return frames


def extract_mfcc(samples: NDArray[np.floating[Any]], config: MfccConfig) -> Float64Array:
    """Coefficients float64[T, F] of a whole recording (float[n], +-1 full scale)."""
    extractor = MfccExtractor(config)
    return np.concatenate((extractor.accept(samples), extractor.finish()))


class _FrontEnd:
    """Tables of one configuration and the arithmetic of single frames."""

    def __init__(self, config: MfccConfig) -> None:
        self.config = config
        length = config.window_length
        position = 2 * np.pi * np.arange(length) / (length - 1)
        self.window = {
            "hamming": 0.54 - 0.46 * np.cos(position),
            "hann": 0.5 - 0.5 * np.cos(position),
            "rectangular": np.ones(length),
        }[config.window]
        self.cosine = cosine_transform(config)

    @cached_property
    def mel(self) -> tuple[NDArray[np.int64], Float64Array, NDArray[np.int64]]:
        """Triangles as flat (bin, weight) lists with the start of each filter's list."""
        bank = mel_filter_bank(self.config)
        # A filter narrower than one bin would be empty and reduceat cannot sum nothing:
        # keep one bin of weight zero for it.
        supports = [np.flatnonzero(row) if row.any() else np.zeros(1, np.int64) for row in bank]
        bins = np.concatenate(supports)
        weights = np.concatenate([row[s] for row, s in zip(bank, supports, strict=True)])
        starts = np.cumsum([0] + [support.size for support in supports[:-1]])
        return bins, weights, starts

    def coefficients(self, frames: Float64Array) -> Float64Array:
        """MFCC [t, F] of pre-emphasised sample windows [t, window_length]."""
        config = self.config
        spectrum = np.fft.rfft(frames * self.window, n=config.fft_length, axis=-1)
        power = (spectrum.real**2 + spectrum.imag**2) / config.fft_length  # [t, K]
        bins, weights, starts = self.mel
        energy = np.add.reduceat(power[:, bins] * weights, starts, axis=-1)  # [t, M]
        logarithm = np.log(np.maximum(energy, SMALLEST_POWER))
        result: Float64Array = (logarithm[:, None, :] * self.cosine).sum(axis=-1)  # [t, F]
        if config.first_coefficient == "log_energy":
            result[:, 0] = np.log(np.maximum(power.sum(axis=-1), SMALLEST_POWER))
        return result


def cosine_transform(config: MfccConfig) -> Float64Array:
    """float64[F, M]: the first rows of the orthonormal DCT-II, liftered as ``config`` says."""
    filters = config.filters
    rows = np.arange(config.coefficients)[:, None]
    angle = np.pi * rows * (2 * np.arange(filters) + 1) / (2 * filters)
    cosine: Float64Array = np.cos(angle) * np.sqrt(2 / filters)
    cosine[0] *= np.sqrt(0.5)
    if config.lifter:
        cosine *= 1 + config.lifter / 2 * np.sin(np.pi * rows / config.lifter)
    return cosine


def mel_filter_bank(config: MfccConfig) -> Float64Array:
    """Triangular filters float64[M, K], corners rounded down to FFT bins, peak 1.

    Mel scale 2595 log10(1 + f / 700), as in HTK and in DeepSpeech's first front end.
    """

    def to_mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    mels = np.linspace(to_mel(config.lowest_hz), to_mel(config.highest_hz), config.filters + 2)
    hertz = 700 * (10 ** (mels / 2595) - 1)
    corners = np.floor((config.fft_length + 1) * hertz / config.sample_rate_hz).astype(int)
    bank = np.zeros((config.filters, config.fft_length // 2 + 1))
    for number in range(config.filters):
        left, middle, right = corners[number : number + 3]
        rising, falling = np.arange(left, middle), np.arange(middle, right)
        bank[number, rising] = (rising - left) / max(middle - left, 1)
        bank[number, falling] = (right - falling) / max(right - middle, 1)
    return bank
