"""Mel-frequency cepstral coefficients, the same numbers offline and in streams.

Axes: n samples, T frames, K bins of the power spectrum, M mel filters, F coefficients.

Front end of the MAU paper, section II: 25 ms windows every 20 ms, 26 coefficients. A frame is
computed from its own samples only, by element-wise operations, per-row sums and per-row FFTs.
No BLAS product is used: the result of a gemm row may depend on how many rows it is given, and
then a stream cut differently would give other features than the whole recording.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError

Float64Array = NDArray[np.float64]
WindowName = Literal["hamming", "hann", "rectangular"]
SMALLEST_POWER = 2.0**-52  # keeps the logarithm of digital silence finite
_BLOCK_FRAMES = 50  # frames computed at once (1 s): their intermediate arrays fit the L2 cache


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
            # A minute at 48 kHz takes 12 MB; at the rate of a damaged file it would take gigabytes.
            "4000 <= sample_rate_hz <= 48000": 4000 <= self.sample_rate_hz <= 48000,
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
            "0 <= lifter <= 65536": 0 <= self.lifter <= 2**16,
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

    The frames of a stream are bit-identical to those of the whole recording. Between calls fewer
    than ``window_length`` samples are kept, however long the stream.
    """

    def __init__(self, config: MfccConfig) -> None:
        """Start a recording; extractors of equal ``config`` share their tables."""
        self.config = config
        self._front_end = _front_end(config)
        self._start_recording()

    def _start_recording(self) -> None:
        self._pending: Float64Array = np.zeros(0)  # pre-emphasised samples not yet used up
        self._last_sample = 0.0
        self._accepted = 0
        self._emitted = 0

    def accept(self, samples: NDArray[np.floating[Any]]) -> Float64Array:
        """Frames float64[t, F] that are complete after these samples (float[n], +-1 full scale)."""
        chunk = np.asarray(samples)
        block = _BLOCK_FRAMES * self.config.stride
        if chunk.size <= block:
            return self._advance(chunk)
        return np.concatenate(
            [self._advance(chunk[start : start + block]) for start in range(0, chunk.size, block)]
        )

    def finish(self) -> Float64Array:
        """The last frames float64[t, F], the tail padded with zeros; resets the extractor."""
        return self.extract(np.zeros(0))

    def extract(self, samples: NDArray[np.floating[Any]]) -> Float64Array:
        """``accept`` the last samples of a recording and ``finish``: frames [t, F]."""
        chunk = np.asarray(samples)
        block = _BLOCK_FRAMES * self.config.stride
        last = max(0, chunk.size - 1) // block * block
        parts = [self.accept(chunk[:last])] if last else []
        parts.append(self._advance(chunk[last:], last=True))
        self._start_recording()
        return np.concatenate(parts)

    def _advance(self, samples: NDArray[np.floating[Any]], *, last: bool = False) -> Float64Array:
        """Frames [t, F] after at most a block of samples [n]; the ``last`` ones are padded."""
        config, work = self.config, self._front_end.work
        kept = self._pending.size
        end = kept + samples.size
        work.samples[:kept] = self._pending
        if samples.size:
            self._emphasise(samples, work.samples[kept:end])
        if last:
            count = config.frame_count(self._accepted) - self._emitted
            work.samples[end:] = 0.0
        else:
            count = max(0, (end - config.window_length) // config.stride + 1)
        frames = self._front_end.coefficients(count)
        self._pending = work.samples[count * config.stride : end].copy()
        self._emitted += count
        return frames

    def _emphasise(self, samples: NDArray[np.floating[Any]], emphasised: Float64Array) -> None:
        """``emphasised[n] = samples[n] - preemphasis * samples[n - 1]`` in float64."""
        factor = self.config.preemphasis
        exact = self._front_end.work.exact[: samples.size]
        exact[:] = samples
        emphasised[0] = factor * self._last_sample
        np.multiply(exact[:-1], factor, out=emphasised[1:])
        np.subtract(exact, emphasised, out=emphasised)
        self._last_sample = float(exact[-1])
        self._accepted += samples.size


def extract_mfcc(samples: NDArray[np.floating[Any]], config: MfccConfig) -> Float64Array:
    """Coefficients float64[T, F] of a whole recording (float[n], +-1 full scale)."""
    return MfccExtractor(config).extract(samples)


class _WorkArrays(threading.local):
    """Arrays that hold one block while it is computed; each thread sees a set of its own.

    They are kept because fresh arrays of this size may come from the kernel page by page, which
    takes longer than the arithmetic. The last block of a recording has one frame more.
    """

    def __init__(self, config: MfccConfig, weights: int) -> None:
        frames, bins = _BLOCK_FRAMES + 1, config.fft_length // 2 + 1
        self.exact = np.empty(_BLOCK_FRAMES * config.stride)  # new samples in float64
        self.samples = np.empty(_BLOCK_FRAMES * config.stride + config.window_length)
        step = self.samples.itemsize
        self.windows: Float64Array = np.ndarray(  # overlapping views of the samples
            (frames, config.window_length),
            buffer=self.samples,
            strides=(config.stride * step, step),
        )
        self.padded = np.zeros((frames, config.fft_length))  # stays zero beyond the window
        self.spectrum = np.empty((frames, bins), np.complex128)
        self.power = np.empty((frames, bins))
        self.square = np.empty((frames, bins))
        self.weighted = np.empty((frames, weights))
        self.products = np.empty((frames, config.coefficients, config.filters))


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
        # Triangles as flat (bin, weight) lists with the start of each filter's list.
        bank = mel_filter_bank(config)
        # A filter narrower than one bin would be empty and reduceat cannot sum nothing:
        # keep one bin of weight zero for it.
        supports = [np.flatnonzero(row) if row.any() else np.zeros(1, np.int64) for row in bank]
        self.bins = np.concatenate(supports)
        self.weights = np.concatenate([row[s] for row, s in zip(bank, supports, strict=True)])
        self.starts = np.cumsum([0] + [support.size for support in supports[:-1]])
        self.work = _WorkArrays(config, self.weights.size)

    def coefficients(self, count: int) -> Float64Array:
        """MFCC [count, F] of the first ``count`` windows of ``work.samples``."""
        config, work = self.config, self.work
        frames = np.empty((count, config.coefficients))
        if count == 0:
            return frames
        padded, spectrum = work.padded[:count], work.spectrum[:count]
        power, square = work.power[:count], work.square[:count]  # [t, K]
        weighted, products = work.weighted[:count], work.products[:count]

        np.multiply(work.windows[:count], self.window, out=padded[:, : config.window_length])
        np.fft.rfft(padded, axis=-1, out=spectrum)
        np.square(spectrum.real, out=power)
        np.square(spectrum.imag, out=square)
        power += square
        power /= config.fft_length
        np.take(power, self.bins, axis=-1, out=weighted, mode="clip")  # "raise" makes a copy
        weighted *= self.weights
        energy = np.add.reduceat(weighted, self.starts, axis=-1)  # [t, M]
        logarithm = np.log(np.maximum(energy, SMALLEST_POWER))
        np.multiply(logarithm[:, None, :], self.cosine, out=products)  # [t, F, M]
        np.add.reduce(products, axis=-1, out=frames)
        if config.first_coefficient == "log_energy":
            frames[:, 0] = np.log(np.maximum(power.sum(axis=-1), SMALLEST_POWER))
        return frames


@lru_cache(maxsize=16)
def _front_end(config: MfccConfig) -> _FrontEnd:
    """Tables of ``config``; to build them takes longer than the frames of a second."""
    return _FrontEnd(config)


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
