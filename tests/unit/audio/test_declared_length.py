from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.audio.declared_length import (
    DeclaredLength,
    ogg_is_complete,
    read_declared_length,
)
from sparsespeech.errors import AudioError


def encoded(frames: int, channels: int = 1, **settings: str) -> bytes:
    """A file written by libsndfile, the oracle of what a complete file looks like."""
    stream = io.BytesIO()
    samples = np.random.default_rng(1).normal(0, 0.1, (frames, channels))
    soundfile.write(stream, samples, 16_000, **settings)
    return stream.getvalue()


def declared(tmp_path: Path, content: bytes) -> DeclaredLength | None:
    path = tmp_path / "a"
    path.write_bytes(content)
    return read_declared_length(path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("settings", "sample_bytes"),
    [
        ({"format": "WAV", "subtype": "PCM_16"}, 2),
        ({"format": "WAV", "subtype": "PCM_24"}, 3),
        ({"format": "WAV", "subtype": "FLOAT"}, 4),
        ({"format": "WAV", "subtype": "ALAW"}, 1),
        ({"format": "WAVEX", "subtype": "PCM_16"}, 2),
        ({"format": "RF64", "subtype": "PCM_16"}, 2),
        ({"format": "AIFF", "subtype": "PCM_24"}, 3),
    ],
)
def test_complete_files(
    tmp_path: Path, settings: dict[str, str], sample_bytes: int, channels: int
) -> None:
    content = encoded(101, channels, **settings)
    found = declared(tmp_path, content)
    size = 101 * channels * sample_bytes
    assert found is not None
    assert (found.declared_bytes, found.bytes_per_frame) == (size, channels * sample_bytes)
    assert found.complete
    assert found.declared_frames(0) == 101
    cut = declared(tmp_path, content[:-2])  # the byte before last is sound, the last may be padding
    assert cut is not None
    assert not cut.complete


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
def test_sizes_of_pipe_writers_mean_until_the_end(tmp_path: Path, size: int) -> None:
    content = bytearray(encoded(100, format="WAV", subtype="PCM_16"))
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    found = declared(tmp_path, bytes(content))
    assert found == DeclaredLength(200, 200, 2)


def test_compressed_wav_counts_frames_by_the_ratio(tmp_path: Path) -> None:
    content = encoded(8000, format="WAV", subtype="IMA_ADPCM")
    cut = declared(tmp_path, content[: len(content) // 2])
    assert cut is not None
    assert not cut.complete
    present = soundfile.SoundFile(io.BytesIO(content[: len(content) // 2])).frames
    assert cut.declared_frames(present) == pytest.approx(8000, rel=0.1)


def test_other_containers_declare_nothing(tmp_path: Path) -> None:
    assert declared(tmp_path, encoded(100, format="FLAC")) is None
    assert declared(tmp_path, b"RIFF\0\0\0\0AVI LIST") is None
    assert declared(tmp_path, b"") is None


def test_chunks_before_the_sound_are_passed_over(tmp_path: Path) -> None:
    content = encoded(100, format="WAV", subtype="PCM_16")
    place = content.index(b"data")
    odd_chunk = b"note" + struct.pack("<I", 3) + b"abc\0"  # odd sizes are padded
    found = declared(tmp_path, content[:place] + odd_chunk + content[place:])
    assert found == DeclaredLength(200, 200, 2)


def test_no_sound_chunk(tmp_path: Path) -> None:
    content = encoded(100, format="WAV", subtype="PCM_16")
    with pytest.raises(AudioError, match="holds a header and no samples"):
        declared(tmp_path, content[: content.index(b"data")])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_is_complete_only_with_its_last_byte(tmp_path: Path, subtype: str) -> None:
    content = encoded(40_000, format="OGG", subtype=subtype)
    path = tmp_path / "a.ogg"
    path.write_bytes(content)
    assert ogg_is_complete(path)
    for missing in (1, 2, 100, 3000, len(content) - 30):
        path.write_bytes(content[:-missing])
        assert not ogg_is_complete(path), missing


def test_ogg_pattern_inside_the_last_page_is_no_page(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    payload = b"OggS" + bytes(40)
    page = struct.pack("<4sBBqIIIBB", b"OggS", 0, 4, 0, 1, 0, 0, 1, len(payload)) + payload
    path.write_bytes(page)
    assert ogg_is_complete(path)
    path.write_bytes(page[:5] + b"\0" + page[6:])  # the flag of the last page taken away
    assert not ogg_is_complete(path)


def test_other_files_are_not_ogg(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(10, format="WAV"))
    assert ogg_is_complete(path)
