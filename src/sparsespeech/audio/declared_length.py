"""How much audio a container declares, and how much the file holds.

libsndfile opens a truncated WAV, AIFF or Ogg file without a word and returns what is there, so
the declaration is read here, from the chunk headers or the last page, in bounded time: nothing
is allocated by a size that a file declares.

Sources: Microsoft RIFF/WAVE (chunk layout, ``data``), EBU Tech 3306 (RF64, ``ds64``), Apple AIFF
(``SSND``, ``COMM``), RFC 3533 (Ogg pages).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sparsespeech.errors import AudioError

# Writers that do not know the length (pipes) put a huge number: 0xFFFFFFFF (ffmpeg) or
# 0x7FFFF000 (sox, espeak-ng). From here on, a size means "until the end of the file".
_UNKNOWN_SIZE = 0x7FFFF000
_MAXIMUM_CHUNKS = 10_000
_OGG_TAIL_BYTES = 2 * 65_307  # the largest Ogg page is 65,307 bytes
_OGG_LAST_PAGE = 4  # header flag "end of stream"
_UNCOMPRESSED = {0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE}  # PCM, float, A-law, mu-law, extensible


@dataclass(frozen=True)
class DeclaredLength:
    """Bytes of sound that a container declares and that are there.

    ``bytes_per_frame`` is 0 when the codec has no fixed size a frame.
    """

    declared_bytes: int
    present_bytes: int
    bytes_per_frame: int

    @property
    def complete(self) -> bool:
        """True if nothing is missing."""
        return self.present_bytes >= self.declared_bytes

    def declared_frames(self, present_frames: int) -> int:
        """Frames declared; from the ratio of bytes where a frame has no fixed size."""
        if self.bytes_per_frame:
            return self.declared_bytes // self.bytes_per_frame
        return present_frames * self.declared_bytes // max(1, self.present_bytes)


def read_declared_length(path: Path) -> DeclaredLength | None:
    """Declared and present bytes of a WAV, RF64 or AIFF file; None for other containers.

    Raises AudioError for a WAV or AIFF file that has no sound chunk, or too many chunks.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        form, kind = head[:4], head[8:12]
        if form in (b"RIFF", b"RF64") and kind == b"WAVE":
            return _walk_chunks(stream, path, "<", b"fmt ", b"data")
        if form == b"FORM" and kind in (b"AIFF", b"AIFC"):
            return _walk_chunks(stream, path, ">", b"COMM", b"SSND")
    return None


def _walk_chunks(
    stream: BinaryIO, path: Path, order: str, format_chunk: bytes, sound_chunk: bytes
) -> DeclaredLength:
    """Follow the chunk headers up to the sound chunk; ``order`` is the byte order of struct."""
    file_bytes = path.stat().st_size
    bytes_per_frame = 0
    declared: int | None = None  # by a chunk other than the sound chunk
    position = 12
    for _ in range(_MAXIMUM_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            raise AudioError(
                f"{path}: holds a header and no samples (no {sound_chunk.decode()!r} chunk within "
                f"{file_bytes} bytes); record or convert it again"
            )
        name, size = header[:4], struct.unpack(order + "I", header[4:])[0]
        if name == sound_chunk:
            offset = 8 if sound_chunk == b"SSND" else 0  # SSND begins with offset and block size
            present = max(0, file_bytes - position - 8 - offset)
            if declared is None:
                declared = present if size >= _UNKNOWN_SIZE else max(0, size - offset)
            return DeclaredLength(declared, present, bytes_per_frame)
        content = stream.read(min(size, 24))
        if name == format_chunk == b"fmt ":
            bytes_per_frame = _wave_frame_bytes(content)
        elif name == format_chunk == b"COMM":
            bytes_per_frame = _aiff_frame_bytes(content)
            if bytes_per_frame:  # SSND may count a padding byte, COMM counts frames
                declared = bytes_per_frame * int(struct.unpack(">I", content[2:6])[0])
        elif name == b"ds64" and len(content) >= 16:
            declared = struct.unpack("<Q", content[8:16])[0]
        position += 8 + size + (size & 1)
    raise AudioError(
        f"{path}: has more than {_MAXIMUM_CHUNKS} chunks before its sound; "
        "expected a recording, convert it again"
    )


def _wave_frame_bytes(content: bytes) -> int:
    """Bytes of a frame by the content of a ``fmt`` chunk; 0 if the codec has no fixed size."""
    if len(content) < 14:
        return 0
    codec, _, _, _, block_align = struct.unpack("<HHIIH", content[:14])
    return int(block_align) if codec in _UNCOMPRESSED else 0


def _aiff_frame_bytes(content: bytes) -> int:
    """Bytes of a frame by the content of a ``COMM`` chunk; 0 if the codec has no fixed size."""
    if len(content) < 18 or content[18:22] not in (b"", b"NONE", b"sowt"):
        return 0
    channels, _, bits = struct.unpack(">HIH", content[:8])
    return int(channels) * ((int(bits) + 7) // 8)


def ogg_is_complete(path: Path) -> bool:
    """True unless the file is Ogg and its last page does not end the stream."""
    with path.open("rb") as stream:
        if stream.read(4) != b"OggS":
            return True
        stream.seek(max(0, path.stat().st_size - _OGG_TAIL_BYTES))
        tail = stream.read()
    last = tail.rfind(b"OggS")
    while last >= 0:
        page = tail[last:]
        if len(page) >= 27 and page[4] == 0:
            segments = page[26]
            size = 27 + segments + sum(page[27 : 27 + segments])
            if len(page) == size:  # otherwise a pattern inside a page, or an incomplete page
                return bool(page[5] & _OGG_LAST_PAGE)
        last = tail.rfind(b"OggS", 0, last)
    return False
