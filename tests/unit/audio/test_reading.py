"""Reading recordings; third-party codecs (libsndfile, PyAV) write the files."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.audio.reading import read_audio
from sparsespeech.errors import AudioError, AudioTooLongError, AudioTruncatedError

RATE = 16_000


def tone(seconds: float = 0.5, rate: int = RATE, hz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def wav(path: Path, samples: NDArray[np.float32], rate: int = RATE, **settings: str) -> Path:
    soundfile.write(path, samples, rate, **settings)
    return path


# ---- formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 3.1e-5),
        ("a.wav", {"subtype": "PCM_24"}, 1e-6),
        ("a.wav", {"subtype": "FLOAT"}, 0.0),
        ("a.wav", {"subtype": "ULAW"}, 0.02),
        ("a.wav", {"format": "WAVEX", "subtype": "PCM_16"}, 3.1e-5),
        ("a.rf64", {"format": "RF64", "subtype": "PCM_16"}, 3.1e-5),
        ("a.aiff", {"subtype": "PCM_16"}, 3.1e-5),
        ("a.flac", {"subtype": "PCM_16"}, 3.1e-5),
        ("a.ogg", {"subtype": "VORBIS"}, 0.03),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}, 0.03),
        ("a.mp3", {"subtype": "MPEG_LAYER_III"}, 0.03),
    ],
)
def test_every_format_comes_back(
    tmp_path: Path, name: str, settings: dict[str, str], tolerance: float
) -> None:
    samples = tone()
    recording = read_audio(wav(tmp_path / name, samples, **settings))
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == samples.shape
    middle = slice(RATE // 10, -RATE // 10)  # lossy codecs fade in and out
    assert np.abs(recording.samples[middle] - samples[middle]).max() <= tolerance
    facts = (recording.sample_rate_hz, recording.source_sample_rate_hz, recording.channels)
    assert facts == (RATE, RATE, 1)
    assert recording.duration_s == 0.5
    assert not recording.truncated


def test_suffix_does_not_matter(tmp_path: Path) -> None:
    flac = wav(tmp_path / "a.flac", tone()).rename(tmp_path / "a.wav")
    assert read_audio(flac).samples.shape == tone().shape


def test_8_khz_stereo_becomes_the_mean_at_16_khz(tmp_path: Path) -> None:
    left, right = tone(rate=8000), np.zeros(4000, dtype=np.float32)
    recording = read_audio(wav(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000))
    assert (recording.source_sample_rate_hz, recording.channels) == (8000, 2)
    assert recording.samples.shape == (8000,)
    middle = slice(800, -800)
    assert np.abs(recording.samples[middle] - tone()[middle] / 2).max() < 1e-3


def test_other_target_rate(tmp_path: Path) -> None:
    recording = read_audio(wav(tmp_path / "a.wav", tone()), 8000)
    assert (recording.sample_rate_hz, recording.samples.shape) == (8000, (4000,))


@pytest.mark.parametrize("rate", [3999, 768_001])
def test_impossible_sample_rate(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "a.wav", tone(0.01), rate)
    with pytest.raises(AudioError, match=rf"a\.wav: the sample rate is {rate} Hz, expected 4000"):
        read_audio(path)


def undeclared_flac(path: Path) -> Path:
    """Two seconds as an encoder writes them into a pipe."""
    content = bytearray(wav(path, tone(2.0)).read_bytes())
    content[21] &= 0xF0  # STREAMINFO: 36 bits of sample count, 0 = unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


def test_flac_stream_of_undeclared_length(tmp_path: Path) -> None:
    recording = read_audio(undeclared_flac(tmp_path / "a.flac"), max_duration_s=600)
    assert recording.samples.shape == (2 * RATE,)
    assert not recording.truncated


def test_cut_flac_stream_of_undeclared_length(tmp_path: Path) -> None:
    path = undeclared_flac(tmp_path / "a.flac")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioTruncatedError, match=r"breaks off and holds \d+ samples"):
        read_audio(path)
    recording = read_audio(path, allow_truncated=True)
    assert recording.truncated
    assert RATE < recording.samples.size < 2 * RATE


# ---- files that are no recordings ------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nope\.wav: no such file"):
        read_audio(tmp_path / "nope.wav")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder, expected a recording"):
        read_audio(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(AudioError, match=r"a\.wav: is empty \(0 bytes\)"):
        read_audio(path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.raw", "a"])
def test_text_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Dear diary, this is no sound.")
    with pytest.raises(AudioError, match=r"is not a recording .* begins with b'Dear diary"):
        read_audio(path)


@pytest.mark.parametrize("length", [12, 20, 36, 44])
def test_header_only_wav(tmp_path: Path, length: int) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(0, dtype=np.float32))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AudioError, match=r"a\.wav: holds a header and no samples"):
        read_audio(path)


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs a device file")
def test_device_file() -> None:
    with pytest.raises(AudioError, match="not a regular file"):
        read_audio("/dev/null")


# ---- truncation ------------------------------------------------------------------------------


def test_truncated_wav_says_declared_and_present_samples(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", tone(0.1))
    path.write_bytes(path.read_bytes()[: 44 + 2 * 778])
    with pytest.raises(AudioTruncatedError, match="declares 1600 and holds 778 samples"):
        read_audio(path)
    recording = read_audio(path, allow_truncated=True)
    assert recording.truncated
    assert recording.samples.shape == (778,)
    assert np.abs(recording.samples - tone(0.1)[:778]).max() < 3.1e-5


def test_wav_cut_at_every_byte_is_an_error(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", tone(0.01))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(AudioError):
            read_audio(path)
    path.write_bytes(whole)
    read_audio(path)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.rf64", {"format": "RF64", "subtype": "PCM_16"}),
        ("a.aiff", {"subtype": "PCM_16"}),
        ("a.flac", {}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", {"subtype": "MPEG_LAYER_III"}),
    ],
)
def test_half_a_file_is_truncated_or_damaged(
    tmp_path: Path, name: str, settings: dict[str, str]
) -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.1, 4 * RATE).astype(np.float32)  # codecs cannot make it small
    path = wav(tmp_path / name, noise, **settings)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(AudioTruncatedError, match="is truncated"):
        read_audio(path)
    recording = read_audio(path, allow_truncated=True)
    assert recording.truncated
    assert 0.3 * noise.size < recording.samples.size < 0.8 * noise.size


# ---- samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_bad_sample_is_named(tmp_path: Path, value: float) -> None:
    samples = tone(1.0)
    samples[[12_000, 13_000]] = value
    path = wav(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"a\.wav: sample 12000 \(0\.750 s\) is {value}"):
        read_audio(path)


def test_bad_sample_of_a_channel(tmp_path: Path) -> None:
    samples = np.zeros((5000, 2), dtype=np.float32)
    samples[4321, 1] = np.nan
    path = wav(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match="sample 4321 of channel 1 "):
        read_audio(path)


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path: Path) -> None:
    samples = tone()
    samples[[5, 6, 7000]] = (1.5, -3.0e30, 1.0)
    recording = read_audio(wav(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert recording.clipped_samples == 2
    assert recording.samples[[5, 6, 7000]].tolist() == [1.0, -1.0, 1.0]


@pytest.mark.parametrize("count", [1, 2, 3, 399, 1000])
def test_very_short_recordings(tmp_path: Path, count: int) -> None:
    for rate in (RATE, 48_000):
        recording = read_audio(wav(tmp_path / "a.wav", tone()[:count], rate))
        assert recording.samples.size == pytest.approx(count * RATE / rate, abs=1)
        assert recording.duration_s == count / rate


# ---- length ----------------------------------------------------------------------------------


def test_too_long_is_refused_from_the_header_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav(tmp_path / "a.flac", tone(2.0))
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    with pytest.raises(AudioTooLongError, match=r"lasts 2\.0 s, the limit is 1\.5 s .*--max-dur"):
        read_audio(path, max_duration_s=1.5)


def test_too_long_stream_of_undeclared_length(tmp_path: Path) -> None:
    path = undeclared_flac(tmp_path / "a.flac")
    with pytest.raises(AudioTooLongError):
        read_audio(path, max_duration_s=1.5)


def test_limit_itself_is_allowed(tmp_path: Path) -> None:
    assert read_audio(wav(tmp_path / "a.wav", tone(0.5)), max_duration_s=0.5).duration_s == 0.5


# ---- hostile files ---------------------------------------------------------------------------


def _chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content


def _riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


_FORMAT = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
_SOUND = _chunk(b"data", struct.pack("<4h", 1000, 2000, 3000, 4000))


@pytest.mark.parametrize(
    "content",
    [
        _riff(_FORMAT, _chunk(b"LIST", b"", 0xFFFFFFF0), _SOUND),
        _riff(_FORMAT, _chunk(b"data", b"", 0x7FFFFFF0)),
        _riff(_FORMAT, *itertools.repeat(_chunk(b"junk", b""), 20_000), _SOUND),
        _riff(_SOUND, _FORMAT),
        _riff(_chunk(b"fmt ", b"\1"), _SOUND),
        _riff(_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, RATE, 0, 0, 16)), _SOUND),
        _riff(_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 65535, RATE, 0, 0, 16)), _SOUND),
        _riff(_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), _SOUND),
        _riff(_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0xFFFFFFFF, 0, 2, 16)), _SOUND),
        b"RF64" + b"\xff" * 4 + b"WAVE" + _FORMAT + _chunk(b"data", b"", 0xFFFFFFFF),
        b"FORM" + b"\0" * 4 + b"AIFF" + b"COMM",
        b"OggS" + bytes(100),
        b"fLaC" + bytes(100),
        b"ID3" + bytes(100),
    ],
)
def test_hostile_headers_are_audio_errors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.wav: ") as caught:
        read_audio(path, max_duration_s=600)
    assert "\n" not in str(caught.value)


@given(position=st.integers(0, 43), value=st.integers(0, 255))
def test_any_changed_header_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.wav"
    wav(path, tone(0.02))
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    try:
        recording = read_audio(path, max_duration_s=600)
    except AudioError:
        return
    assert np.isfinite(recording.samples).all()
