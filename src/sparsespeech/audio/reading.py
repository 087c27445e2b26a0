"""Read a recording of any format, sample rate and channel count as mono float32.

Axes: N frames (moments in time), C channels. Full scale is +-1.

Rules:

- WAV, FLAC, Ogg Vorbis, Opus, MP3 and AIFF are decoded by libsndfile; video containers (m4a, mp4,
  webm, ...) by PyAV, which is the extra ``media``.
- Several channels become their mean; the rate is converted by soxr (:mod:`.resampling`).
- Samples beyond +-1 are clipped and counted, NaN and infinity are errors (:mod:`.samples`).
- A file with fewer samples than it declares is an error unless ``allow_truncated``. The other
  formats of libsndfile (AU, W64, CAF, NIST, ...) and the video containers are read without that
  check, because they do not state the length of their sound in one place.
- A recording longer than ``max_duration_s`` is refused from its header, before decoding; a header
  that lies is caught while decoding, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sparsespeech.audio import media
from sparsespeech.audio.declared_length import ogg_is_complete, read_declared_length
from sparsespeech.audio.recording import (
    SAMPLE_RATE_HZ,
    Recording,
    check_duration,
    check_sample_rate,
)
from sparsespeech.audio.resampling import resample
from sparsespeech.audio.samples import clip_samples, mix_to_mono
from sparsespeech.errors import AudioError, AudioTruncatedError

__all__ = ["Recording", "read_audio"]

_FORMATS = "WAV, FLAC, Ogg Vorbis, Opus, MP3 or AIFF"
_BLOCK_FRAMES = 4_096  # one FLAC block: damage loses no more than the block it is in
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's count for a FLAC stream written to a pipe is 2^63 - 1
# An MP3 header counts whole frames of 1152 samples; encoders differ in delay and padding.
_MP3_TOLERANCE_FRAMES = 2 * 1152


def read_audio(
    path: str | Path,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    *,
    max_duration_s: float | None = None,
    allow_truncated: bool = False,
) -> Recording:
    """Read the recording at ``path`` as mono float32 at ``sample_rate_hz``.

    Raises AudioError (missing, not a recording, empty, NaN or infinite samples),
    AudioTruncatedError, AudioTooLongError and MissingDependencyError (extra ``media``).
    """
    path = Path(path)
    _check_file(path)
    if media.is_media_container(path):
        source: _Source = _read_media(path, max_duration_s)
    else:
        source = _read_sound_file(path, max_duration_s, allow_truncated)
    if source.frames.size == 0:
        raise AudioError(f"{path}: holds a header and no samples; record or convert it again")
    return Recording(
        samples=resample(source.frames, source.sample_rate_hz, sample_rate_hz),
        sample_rate_hz=sample_rate_hz,
        source_sample_rate_hz=source.sample_rate_hz,
        channels=source.channels,
        truncated=source.truncated,
        duration_s=source.frames.size / source.sample_rate_hz,
        clipped_samples=source.clipped_samples,
    )


@dataclass(frozen=True, eq=False)
class _Source:
    """A decoded recording at its own rate, mono."""

    frames: NDArray[np.float32]  # float32[N]
    sample_rate_hz: int
    channels: int
    truncated: bool
    clipped_samples: int


def _open_sequential(path: Path) -> soundfile.SoundFile:
    """Open ``path`` for reading from front to back only.

    soundfile would seek to the position it has reached after every read, which fails at the end
    of a FLAC stream of undeclared length.
    """
    file = soundfile.SoundFile(path)
    file.seekable = lambda: False
    return file


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise AudioError(
                f"{path}: is a folder, expected a recording ({_FORMATS}); "
                "name a file, or use a command that takes folders"
            )
        if not path.exists():
            raise AudioError(f"{path}: no such file; check the path")
        if not path.is_file():
            raise AudioError(f"{path}: is not a regular file; save the sound to a file first")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise AudioError(f"{path}: is empty (0 bytes), expected a recording ({_FORMATS})")
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}") from None


def _read_sound_file(path: Path, max_duration_s: float | None, allow_truncated: bool) -> _Source:
    declared = read_declared_length(path)
    try:
        with _open_sequential(path) as file:
            rate, channels = int(file.samplerate), int(file.channels)
            check_sample_rate(str(path), rate)
            length = file.frames if file.frames < _UNKNOWN_FRAMES else 0
            check_duration(str(path), length / rate, max_duration_s)
            incomplete = not (declared.complete if declared else ogg_is_complete(path))
            if incomplete and not allow_truncated:  # known from the headers: refused undecoded
                finding = "its Ogg stream has no last page"
                if declared:
                    finding = f"declares {declared.declared_frames(length)}"
                raise _truncated(path, f"{finding} and holds {length} samples")
            frames, clipped, damaged = _decode(file, path, max_duration_s)
            tolerance = _MP3_TOLERANCE_FRAMES if file.format == "MP3" else 0
            short = damaged or frames.size + tolerance < length
            if short and not allow_truncated:
                finding = f"declares {length}" if length else "breaks off"
                raise _truncated(path, f"{finding} and holds {frames.size} samples")
            truncated = short or incomplete
    except soundfile.LibsndfileError as error:
        raise _not_a_recording(path, error.error_string) from None
    except TypeError:  # soundfile's answer to the suffix .raw
        raise _not_a_recording(path, "raw samples without a header") from None
    return _Source(frames, rate, channels, truncated, clipped)


def _decode(
    file: soundfile.SoundFile, path: Path, max_duration_s: float | None
) -> tuple[NDArray[np.float32], int, bool]:
    """Mono frames float32[N], clipped samples, and True if the decoder stopped at damage."""
    rate = int(file.samplerate)
    blocks: list[NDArray[np.float32]] = []
    count, clipped, damaged = 0, 0, False
    while True:
        try:
            block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            damaged = True
            break
        if len(block) == 0:
            break
        clipped += clip_samples(block, source=str(path), first_frame=count, sample_rate_hz=rate)
        blocks.append(mix_to_mono(block))
        count += len(block)
        check_duration(str(path), count / rate, max_duration_s)
    return _join(blocks), clipped, damaged


def _read_media(path: Path, max_duration_s: float | None) -> _Source:
    blocks: list[NDArray[np.float32]] = []
    count, clipped, rate, channels = 0, 0, 0, 0
    stream: Iterator[media.Block] = media.decode(path)
    for block in stream:
        rate, channels = block.sample_rate_hz, block.samples.shape[1]
        check_sample_rate(str(path), rate)
        clipped += clip_samples(
            block.samples, source=str(path), first_frame=count, sample_rate_hz=rate
        )
        blocks.append(mix_to_mono(block.samples))
        count += len(block.samples)
        check_duration(str(path), count / rate, max_duration_s)
    return _Source(_join(blocks), rate or SAMPLE_RATE_HZ, channels, False, clipped)


def _join(blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def _truncated(path: Path, finding: str) -> AudioTruncatedError:
    return AudioTruncatedError(
        f"{path}: is truncated: {finding}; copy it again, or use what is there with "
        "--allow-truncated"
    )


def _not_a_recording(path: Path, reason: str) -> AudioError:
    with path.open("rb") as stream:
        first = stream.read(16)
    reason = reason.strip().rstrip(".").lower()
    return AudioError(
        f"{path}: is not a recording that can be decoded ({reason}); the file begins with "
        f"{first!r}, expected {_FORMATS}"
    )
