from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.audio.silence import holds_no_speech
from sparsespeech.audio.speech_gate import MEMORY_S, SpeechGate
from tests.scripted_backend import babble

RATE = 16_000


def noise(seconds: float, level: float = 0.1, seed: int = 3) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * RATE))
    return samples.astype(np.float32)


SOUNDS = {
    "nothing": np.zeros(0, np.float32),
    "silence": np.zeros(RATE, np.float32),
    "open microphone": noise(1.0, 1e-4),
    "noise": noise(2.0),
    "short noise": noise(0.3),
    "speech": babble(2.0).astype(np.float32),
    "noise, then speech": np.concatenate([noise(3.0, 0.02), babble(1.0).astype(np.float32)]),
    "speech, then silence": np.concatenate([babble(1.0), np.zeros(RATE)]).astype(np.float32),
}


@given(sound=st.sampled_from(sorted(SOUNDS)), cuts=st.lists(st.integers(0, 64_000), max_size=5))
def test_chunks_are_judged_as_the_whole(sound: str, cuts: list[int]) -> None:
    samples = SOUNDS[sound]
    gate = SpeechGate(RATE)
    taken = 0
    for chunk in np.split(samples, sorted(min(cut, samples.size) for cut in cuts)):
        gate.accept(chunk)
        taken += chunk.size
        assert gate.holds_speech() is not holds_no_speech(samples[:taken], RATE)


def test_speech_of_the_first_minute_settles_it() -> None:
    gate = SpeechGate(RATE)
    gate.accept(babble(MEMORY_S).astype(np.float32))
    for seed in range(30):
        gate.accept(noise(10.0, seed=seed))
    assert gate.holds_speech()
    assert gate._levels.size == gate._rest.size == 0


@pytest.mark.parametrize("size", [100, 16_000, 400_000])
def test_without_speech_the_last_half_minute_decides(size: int) -> None:
    sound = np.concatenate([noise(150.0, 0.02), babble(2.0).astype(np.float32)])
    gate = SpeechGate(RATE)
    answers = []
    for start in range(0, sound.size, size):
        gate.accept(sound[start : start + size])
        if start + size in range(0, 150 * RATE, 4_000):
            answers.append(gate.holds_speech())
        assert gate._levels.size <= MEMORY_S / 0.02
    assert not any(answers[1:])
    assert gate.holds_speech()
