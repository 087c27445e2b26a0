"""Video containers: recognised without PyAV, decoded where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.audio.media import is_media_container
from sparsespeech.audio.reading import read_audio
from sparsespeech.errors import AudioError, AudioTooLongError, MissingDependencyError

RATE = 48_000
CONTAINERS = [("a.m4a", "aac"), ("a.mp4", "aac"), ("a.webm", "libopus"), ("a.aac", "aac")]


def encode(av: Any, path: Path, codec: str, seconds: float = 1.0) -> None:
    """A stereo tone of amplitude 0.5 on the left, silence on the right."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), np.zeros_like(time)])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        for first in range(0, samples.shape[1], 960):
            block = np.ascontiguousarray(samples[:, first : first + 960], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3" + bytes(8), b"\xff\xf1\x4c\x80" + bytes(8)],
    ids=["m4a", "webm", "aac"],
)
def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "talk.bin"
    path.write_bytes(head)
    with pytest.raises(
        MissingDependencyError, match=r"talk\.bin: .*pip install 'sparsespeech\[media\]'"
    ):
        read_audio(path)


@pytest.mark.parametrize("head", [b"", b"RIFF", b"fLaC", b"\xff\xfb\x90\x00", b"ID3"])
def test_formats_of_libsndfile_are_not_containers(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(head)
    assert not is_media_container(path)


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_containers_are_decoded(tmp_path: Path, name: str, codec: str) -> None:
    av = pytest.importorskip("av")
    encode(av, tmp_path / name, codec)
    recording = read_audio(tmp_path / name)
    assert (recording.source_sample_rate_hz, recording.channels) == (RATE, 2)
    assert recording.duration_s == pytest.approx(1.0, abs=0.05)
    middle = recording.samples[4000:12_000].astype(np.float64)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.25, rel=0.05)


def test_limit_and_damage(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "a.m4a"
    encode(av, path, "aac")
    with pytest.raises(AudioTooLongError):
        read_audio(path, max_duration_s=0.5)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(AudioError, match=r"a\.m4a: cannot be decoded"):
        read_audio(path)
