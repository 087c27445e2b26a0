"""However audio is cut into chunks, the windows are those of the whole recording."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.audio.recording import recording_from_array
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.features.window_stream import WindowStream
from sparsespeech.model_file.model import InputQuantization

CONFIGS = st.builds(
    MfccConfig,
    window_length=st.sampled_from([400, 320]),
    stride=st.sampled_from([320, 160, 97]),
    coefficients=st.sampled_from([26, 13]),
    first_coefficient=st.sampled_from(["c0", "log_energy"]),
    context=st.integers(0, 9),
)


@given(
    config=CONFIGS,
    length=st.integers(0, 2000) | st.integers(15_000, 36_000),  # below and above a block
    cuts=st.lists(st.integers(0, 36_000), max_size=12),
    dtype=st.sampled_from([np.float32, np.float64, np.int16]),
    zero_point=st.integers(0, 255),
    seed=st.integers(0, 2**16),
)
def test_chunks_joined_are_the_whole_recording(
    config: MfccConfig,
    length: int,
    cuts: list[int],
    dtype: type[np.generic],
    zero_point: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    scale = 20_000 if dtype is np.int16 else 0.8  # some floating samples lie beyond +-1
    samples = np.clip(random.standard_normal(length) * scale, -32768, 32767).astype(dtype)
    width = config.coefficients
    quantization = InputQuantization(
        random.normal(0, 3, width), random.uniform(0.5, 4, width), 0.04, zero_point
    )

    stream = WindowStream(config, quantization)
    chunks = np.split(samples, sorted(min(cut, length) for cut in cuts))
    streamed = np.concatenate([*map(stream.accept, chunks), stream.finish()])

    recording = recording_from_array(samples, config.sample_rate_hz)
    frames = quantize_frames(extract_mfcc(recording.samples, config), quantization)
    whole = context_windows(frames, config.context, zero_point)
    assert streamed.dtype == np.uint8
    np.testing.assert_array_equal(streamed, whole)
    assert stream.clipped_samples == recording.clipped_samples
