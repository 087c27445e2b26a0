"""MFCC: third-party oracle, frame count, streaming identity, bad constants."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import python_speech_features
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.errors import ModelFileError
from sparsespeech.features.mfcc import (
    MfccConfig,
    MfccExtractor,
    cosine_transform,
    extract_mfcc,
    mel_filter_bank,
)

CONFIG = MfccConfig()
TOLERANCE = 1e-10  # both sides work in float64; only the order of sums differs


def speech_like(samples: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16000
    tone = np.sin(2 * np.pi * 140 * time) * np.sin(2 * np.pi * 3 * time)
    return (0.3 * tone + 0.02 * random.standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("config", "window"),
    [
        (CONFIG, np.hamming),
        (MfccConfig(window="hann", preemphasis=0.0), np.hanning),
        (MfccConfig(window="rectangular", coefficients=13, lifter=22), np.ones),
        (MfccConfig(first_coefficient="log_energy", lowest_hz=60.0, highest_hz=7000.0), np.hamming),
    ],
)
def test_equals_python_speech_features(config: MfccConfig, window: object) -> None:
    samples = speech_like(16000 * 3 + 77)
    oracle = python_speech_features.mfcc(
        samples.astype(np.float64),
        16000,
        0.025,
        0.02,
        numcep=config.coefficients,
        nfilt=26,
        nfft=512,
        lowfreq=config.lowest_hz,
        highfreq=config.highest_hz,
        preemph=config.preemphasis,
        ceplifter=config.lifter,
        appendEnergy=config.first_coefficient == "log_energy",
        winfunc=window,
    )
    ours = extract_mfcc(samples, config)
    assert ours.shape == oracle.shape
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=TOLERANCE)


def test_one_second_is_fifty_frames_of_494_inputs() -> None:
    assert CONFIG.frame_count(16000) == 50
    assert CONFIG.inputs == 494
    assert extract_mfcc(speech_like(16000), CONFIG).shape == (50, 26)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 1), (399, 1), (400, 1), (401, 2), (720, 2), (721, 3)]
)
def test_frame_count_has_a_padded_tail(samples: int, frames: int) -> None:
    assert CONFIG.frame_count(samples) == frames
    assert len(extract_mfcc(speech_like(samples), CONFIG)) == frames


@given(
    samples=st.integers(0, 6000),
    cuts=st.lists(st.integers(0, 6000), max_size=12),
    seed=st.integers(0, 2**16),
)
def test_a_stream_gives_the_bits_of_the_whole_recording(
    samples: int, cuts: list[int], seed: int
) -> None:
    recording = speech_like(samples, seed)
    extractor = MfccExtractor(CONFIG)
    chunks = np.split(recording, sorted(min(cut, samples) for cut in cuts))
    parts = [extractor.accept(chunk) for chunk in chunks] + [extractor.finish()]
    np.testing.assert_array_equal(np.concatenate(parts), extract_mfcc(recording, CONFIG))


@pytest.mark.parametrize("samples", [15999, 16000, 16001, 16080, 16081, 32000, 32001, 50000])
def test_blocks_join_without_a_seam(samples: int) -> None:
    recording = speech_like(samples)
    extractor = MfccExtractor(CONFIG)
    small = [extractor.accept(chunk) for chunk in np.split(recording, range(0, samples, 999))]
    whole = np.concatenate((*small, extractor.finish()))
    np.testing.assert_array_equal(extract_mfcc(recording, CONFIG), whole)
    large = np.concatenate((extractor.accept(recording), extractor.finish()))
    np.testing.assert_array_equal(large, whole)


def test_interleaved_extractors_do_not_disturb_each_other() -> None:
    recordings = [speech_like(9000, seed) for seed in (1, 2)]
    extractors = [MfccExtractor(CONFIG) for _ in recordings]
    frames: list[list[np.ndarray]] = [[], []]
    for start in range(0, 9000, 500):
        for number, extractor in enumerate(extractors):
            frames[number].append(extractor.accept(recordings[number][start : start + 500]))
    for number, extractor in enumerate(extractors):
        joined = np.concatenate((*frames[number], extractor.finish()))
        np.testing.assert_array_equal(joined, extract_mfcc(recordings[number], CONFIG))


def test_threads_share_tables_but_no_work_arrays() -> None:
    recordings = [speech_like(40_000 + 700 * seed, seed) for seed in range(4)]
    expected = [extract_mfcc(recording, CONFIG) for recording in recordings]
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda samples: extract_mfcc(samples, CONFIG), recordings * 25))
    for number, got in enumerate(frames):
        np.testing.assert_array_equal(got, expected[number % 4])


def test_an_extractor_starts_anew_after_finish() -> None:
    extractor = MfccExtractor(CONFIG)
    recording = speech_like(5000)
    first = np.concatenate((extractor.accept(recording), extractor.finish()))
    second = np.concatenate((extractor.accept(recording), extractor.finish()))
    np.testing.assert_array_equal(first, second)


def test_digital_silence_is_finite() -> None:
    assert np.isfinite(extract_mfcc(np.zeros(16000, np.float32), CONFIG)).all()


def test_every_filter_peaks_at_one_and_covers_a_bin() -> None:
    bank = mel_filter_bank(CONFIG)
    assert bank.shape == (26, 257)
    np.testing.assert_array_equal(bank.max(axis=1), np.ones(26))


def test_cosine_transform_is_orthonormal() -> None:
    transform = cosine_transform(CONFIG)
    np.testing.assert_allclose(transform @ transform.T, np.eye(26), atol=1e-12)


def test_config_survives_json() -> None:
    config = MfccConfig(window="hann", lifter=22, context=5)
    assert MfccConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 0},
        {"window_length": 600},
        {"coefficients": 27},
        {"highest_hz": 9000.0},
        {"preemphasis": 1.0},
        {"context": -1},
        {"window": "kaiser"},
        {"lifter": -1},
        {"lifter": 2**16 + 1},
        {"sample_rate_hz": 48_001},
        {"sample_rate_hz": 3_999, "highest_hz": 1_000.0},
        {"first_coefficient": "c1"},
        {"lowest_hz": float("nan")},
    ],
)
def test_impossible_constants_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="break the rule"):
        MfccConfig(**change)


@pytest.mark.parametrize("change", [{"stride": 320.0}, {"stride": True}, {"unknown": 1}])
def test_mistyped_json_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelFileError):
        MfccConfig.from_json({**CONFIG.to_json(), **change})
