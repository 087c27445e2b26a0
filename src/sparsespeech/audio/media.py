"""Sound of video containers (m4a, mp4, mov, webm, mkv) through PyAV, the extra ``media``.

Axes: N frames (moments in time), C channels.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import AudioError, MissingDependencyError

SUFFIXES = frozenset({".aac", ".m4a", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma"})
_MATROSKA = b"\x1a\x45\xdf\xa3"  # EBML header of mkv, mka and webm
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # header of wma


@dataclass(frozen=True, eq=False)
class Block:
    """A run of decoded frames."""

    samples: NDArray[np.float32]  # float32[N, C], full scale +-1
    sample_rate_hz: int


def is_media_container(path: Path) -> bool:
    """True if the first bytes are those of a container that libsndfile does not read."""
    with path.open("rb") as stream:
        head = stream.read(12)
    adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0  # bare AAC
    return head[4:8] == b"ftyp" or head.startswith((_MATROSKA, _ASF)) or adts


def decode(path: Path) -> Iterator[Block]:
    """Frames of the first sound track of ``path``, block by block.

    Raises MissingDependencyError if PyAV is not installed, AudioError if the file holds no sound
    track or is damaged.
    """
    try:
        av: Any = importlib.import_module("av")
    except ImportError:
        raise MissingDependencyError(
            f"{path}: is an m4a, mp4, webm or like container, which needs PyAV; "
            "install it by: pip install 'sparsespeech[media]', or convert the recording to WAV"
        ) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: holds no sound track; expected one")
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(container.streams.audio[0]):
                for part in resampler.resample(frame):
                    yield Block(part.to_ndarray().T.astype(np.float32), int(part.sample_rate))
    except av.error.FFmpegError as error:
        raise AudioError(f"{path}: cannot be decoded: {error}; convert it to WAV") from None
