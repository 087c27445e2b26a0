"""The live windows of rule R12: when they come, what is refused, and what is kept."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.audio.recording import recording_from_array
from sparsespeech.errors import AudioError, SessionFinishedError
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.features.window_stream import WindowStream
from sparsespeech.model_file.model import InputQuantization

CONFIG = MfccConfig()
RATE = CONFIG.sample_rate_hz
QUANTIZATION = InputQuantization(np.linspace(-8, 1, 26), np.linspace(3, 1, 26), 0.03, 120)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def offline(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The windows of the whole recording, by the path of ``Recogniser.transcribe``."""
    recording = recording_from_array(samples, RATE)
    frames = quantize_frames(extract_mfcc(recording.samples, CONFIG), QUANTIZATION)
    return context_windows(frames, CONFIG.context, QUANTIZATION.zero_point)


@pytest.mark.parametrize("chunk_ms", [20, 320])
def test_chunks_joined_are_the_whole_recording(chunk_ms: int) -> None:
    samples, stream = noise(2.511), WindowStream(CONFIG, QUANTIZATION)
    chunks = np.split(samples, range(0, samples.size, chunk_ms * RATE // 1000))
    windows = [*map(stream.accept, chunks), stream.finish()]
    assert {part.dtype for part in windows} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(np.concatenate(windows), offline(samples))


def test_a_window_comes_when_its_last_frame_is_complete() -> None:
    stream, samples = WindowStream(CONFIG, QUANTIZATION), noise(1.0)
    needed = 9 * 320 + 400  # 180 ms of look-ahead and the frame itself
    assert stream.accept(samples[: needed - 1]).shape == (0, 494)
    assert stream.accept(samples[needed - 1 : needed]).shape == (1, 494)
    assert stream.accept(samples[needed : needed + 319]).shape == (0, 494)
    assert stream.accept(samples[needed + 319 : needed + 640]).shape == (2, 494)


@pytest.mark.parametrize(("samples", "windows"), [(0, 0), (1, 1), (400, 1), (401, 2), (16000, 50)])
def test_finish_gives_a_window_for_each_frame(samples: int, windows: int) -> None:
    stream = WindowStream(CONFIG, QUANTIZATION)
    early = stream.accept(noise(1.0)[:samples])
    assert len(early) + len(stream.finish()) == windows


def test_int16_and_clipped_samples_keep_the_rules_of_files() -> None:
    pcm = (noise(1.0) * 40000).astype(np.int16)
    loud = noise(1.0) * 4
    for samples in (pcm, loud):
        stream = WindowStream(CONFIG, QUANTIZATION)
        windows = np.concatenate((stream.accept(samples), stream.finish()))
        np.testing.assert_array_equal(windows, offline(samples))
        assert stream.clipped_samples == np.count_nonzero(np.abs(samples.astype(float)) > 1) * (
            samples is loud
        )
    assert stream.clipped_samples > 1000


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros(320, np.int32), "dtype int32, expected floating or int16"),
        (np.zeros(320, bool), "dtype bool, expected floating or int16"),
        (np.zeros((320, 2), np.float32), r"shape \(320, 2\), expected \[samples\] of one channel"),
        (np.float32(0.5), r"shape \(\), expected \[samples\]"),
        (np.array([0.1, np.nan], np.float32), r"sample 4001 \(0\.250 s\) is nan"),
        (np.array([-np.inf]), r"sample 4000 \(0\.250 s\) is -inf"),
    ],
)
def test_a_refused_chunk_changes_nothing(chunk: NDArray[np.generic], message: str) -> None:
    stream, samples = WindowStream(CONFIG, QUANTIZATION), noise(0.7)
    windows = [stream.accept(samples[:4000])]
    with pytest.raises(AudioError, match=message):
        stream.accept(chunk)
    windows += [stream.accept(samples[4000:]), stream.finish()]
    np.testing.assert_array_equal(np.concatenate(windows), offline(samples))


def test_the_callers_chunk_is_not_changed() -> None:
    chunk = np.full(1000, 2.0, np.float32)
    WindowStream(CONFIG, QUANTIZATION).accept(chunk)
    assert (chunk == 2.0).all()


def test_nothing_is_taken_after_finish() -> None:
    stream = WindowStream(CONFIG, QUANTIZATION)
    stream.accept(noise(0.5))
    stream.finish()
    with pytest.raises(SessionFinishedError, match=r"after 8000 samples \(0\.500 s\)"):
        stream.accept(noise(0.1))
    with pytest.raises(SessionFinishedError):
        stream.finish()


def test_an_hour_takes_no_more_memory_than_ten_seconds() -> None:
    stream, chunk = WindowStream(CONFIG, QUANTIZATION), noise(0.32)
    tracemalloc.start()
    try:
        for number in range(3600 * 100 // 32):
            stream.accept(chunk)
            if number == 32:
                early = tracemalloc.get_traced_memory()[0]
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()  # else every later test is traced
    assert late - early < 2_000
