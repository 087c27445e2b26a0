"""Live transcription on the reference executor, and with an executor that spells a given text."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import sparsespeech as ss
from sparsespeech.audio.resampling import resample
from sparsespeech.errors import (
    AudioError,
    BackendError,
    EngineMemoryError,
    LanguageModelError,
    SessionFinishedError,
    UnsupportedLayerError,
)
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.recogniser import Recogniser
from tests.fake_engine import put_fake_engine
from tests.random_models import random_integer_model
from tests.scripted_backend import babble
from tests.talkative_model import talkative_model

RATE = 16_000
FRAME = 320


MODEL = talkative_model()


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(MODEL, backend="reference")


def feed(stream: Any, samples: NDArray[Any], cuts: Sequence[int]) -> list[Any]:
    """Utterances that end on the way, when ``samples`` are cut at ``cuts``."""
    ended: list[Any] = []
    for chunk in np.split(samples, sorted(min(cut, len(samples)) for cut in cuts)):
        ended += stream.accept_waveform(chunk)
    return ended


# ---- the same text as of the whole recording -------------------------------------------------


@given(seconds=st.floats(0.0, 3.0), cuts=st.lists(st.integers(0, 48_000), max_size=8))
def test_any_chunking_gives_the_text_of_the_whole(
    recogniser: Recogniser, seconds: float, cuts: list[int]
) -> None:
    samples = babble(seconds)
    stream = recogniser.stream()
    assert feed(stream, samples, cuts) == []
    result, whole = stream.finish(), recogniser.transcribe(samples)
    assert (result.text, result.words) == (whole.text, whole.words)
    assert (result.final, result.duration_s) == (True, whole.duration_s)


def test_random_model_hears_something(recogniser: Recogniser) -> None:
    assert len(recogniser.transcribe(babble(3.0)).text) > 5  # else the test above proves nothing


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_sample_rates(recogniser: Recogniser, rate: int) -> None:
    samples = babble(2.0, rate=rate).astype(np.float32)
    stream = recogniser.stream(rate)
    feed(stream, samples, range(0, samples.size, 777))
    result, whole = stream.finish(), recogniser.transcribe(samples, rate)
    assert (result.text, result.words) == (whole.text, whole.words)
    assert result.duration_s == 2.0
    assert whole.text == recogniser.transcribe(resample(samples, rate, RATE)).text != ""


@pytest.mark.parametrize("count", [0, 1, 100, 300, 500])
def test_very_short_recordings_at_another_rate(recogniser: Recogniser, count: int) -> None:
    samples = babble(1.0, rate=8_000)[1_000 : 1_000 + count]  # all of it waits in the resampler
    stream = recogniser.stream(8_000)
    stream.accept_waveform(samples)
    assert stream.finish().text == recogniser.transcribe(samples, 8_000).text
    assert (recogniser.transcribe(samples, 8_000).text != "") == (count > 0)


def test_int16_samples(recogniser: Recogniser) -> None:
    samples = np.round(babble(1.0) * 20_000).astype(np.int16)
    stream = recogniser.stream()
    stream.accept_waveform(samples)
    assert stream.finish().text == recogniser.transcribe(samples).text


def test_beam_search(recogniser: Recogniser) -> None:
    samples = babble(1.5)
    stream = recogniser.stream(decoder="beam", beam_width=8)
    feed(stream, samples, range(0, samples.size, 5_000))
    assert stream.partial().text
    whole = recogniser.transcribe(samples, decoder="beam", beam_width=8)
    assert stream.finish().text == whole.text


def test_partial_text_grows_into_the_final_one(recogniser: Recogniser) -> None:
    samples = babble(3.0)
    stream = recogniser.stream()
    partials = []
    for start in range(0, samples.size, 4_000):
        stream.accept_waveform(samples[start : start + 4_000])
        partials.append(stream.partial())
    final = stream.finish()
    assert not any(partial.final for partial in partials)
    for before, after in itertools.pairwise([*partials, final]):
        assert after.words[: max(0, len(before.words) - 1)] == before.words[:-1]
        assert after.text.startswith(before.text)
    assert len({partial.text for partial in partials}) > 3
    assert [partial.duration_s for partial in partials] == pytest.approx(
        [0.25 * (number + 1) for number in range(len(partials))]
    )


def test_look_ahead_is_as_stated(recogniser: Recogniser) -> None:
    stream = recogniser.stream()
    frames = []
    for number in range(30):
        stream.accept_waveform(babble(1.0)[number * FRAME : (number + 1) * FRAME])
        frames.append(stream._session._frames)
    assert frames == [max(0, number - 1 - 9 + 1) for number in range(30)]


# ---- silence ---------------------------------------------------------------------------------


def test_silence_and_noise_have_no_text(recogniser: Recogniser) -> None:
    for sound in (np.zeros(0), np.zeros(RATE), np.random.default_rng(0).normal(0, 0.1, RATE)):
        stream = recogniser.stream()
        stream.accept_waveform(sound)
        assert stream.partial().text == ""
        result = stream.finish()
        assert (result.text, result.words) == ("", ())
        assert recogniser.transcribe(sound).text == ""


def test_text_waits_for_speech_and_loses_none(recogniser: Recogniser) -> None:
    samples = np.concatenate([np.zeros(RATE), babble(1.0)])
    stream = recogniser.stream()
    stream.accept_waveform(samples[:RATE])
    assert stream.partial().text == ""
    stream.accept_waveform(samples[RATE:])
    assert stream.finish().text == recogniser.transcribe(samples).text != ""


# ---- utterances ------------------------------------------------------------------------------


class Spelling:
    """An executor that spells a script, a character a frame; "_" is the blank."""

    def __init__(self, model: IntegerModel, script: str) -> None:
        self._classes = [
            28 if character == "_" else model.labels.index(character) for character in script
        ]
        self._said = 0

    def stream(self) -> Spelling:
        return self

    def push(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
        logits = np.zeros((len(windows), 29), dtype=np.int64)
        best = self._classes[self._said : self._said + len(windows)]
        logits[np.arange(len(windows)), best + [28] * (len(windows) - len(best))] = 10**6
        self._said += len(windows)
        return logits

    def finish(self) -> None:
        """Nothing to do."""


@pytest.fixture
def spelling(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Recogniser]:
    """Makes recognisers that hear one script in everything."""

    def make(script: str) -> Recogniser:
        monkeypatch.setattr(
            "sparsespeech.recogniser.load_backend",
            lambda name: lambda model, threads: Spelling(model, script),
        )
        return Recogniser(MODEL)

    return make


SCRIPT = "____to_ day_____" + "so long" + "_ _ _ _" + "x_" + "_____" + "__bye__"


@pytest.mark.parametrize("size", [1, 100, 3_333, 100_000])
def test_pauses_end_utterances(spelling: Callable[[str], Recogniser], size: int) -> None:
    stream = spelling(SCRIPT).stream(pause_s=0.1)  # five frames
    sound = babble(len(SCRIPT) * 0.02 + 0.05)
    ended = feed(stream, sound, range(0, sound.size, size))
    last = stream.finish()
    assert [utterance.text for utterance in [*ended, last]] == ["to day", "so long", "x", "bye"]
    assert all(utterance.final for utterance in [*ended, last])
    starts = [word.start for utterance in [*ended, last] for word in utterance.words]
    wanted = [SCRIPT.index(word) * 0.02 for word in ("to", "day", "so", "long", "x", "bye")]
    assert starts == pytest.approx(wanted)
    assert last.words[-1].end == pytest.approx((SCRIPT.index("bye") + 3) * 0.02)


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("ab cd efgh ijkl mn op qr st", ["ab cd efgh", "ijkl mn op", "qr st"]),
        ("ababababababababababababa_bcd_e_f", ["ababababababababababababa", "bcdef"]),
    ],
)
@pytest.mark.parametrize("size", [320, 5_120])
def test_speech_without_pauses_is_cut(
    spelling: Callable[[str], Recogniser],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    texts: list[str],
    size: int,
) -> None:
    monkeypatch.setattr("sparsespeech.streaming.LONGEST_UTTERANCE_S", 0.2)  # ten frames
    stream = spelling(script).stream(pause_s=1.0)
    sound = babble(len(script) * 0.02 + 0.2)
    ended = feed(stream, sound, range(0, sound.size, size))
    results = [*ended, stream.finish()]
    assert [result.text for result in results] == texts
    starts = [result.words[0].start for result in results]
    assert starts == pytest.approx([script.index(text[:3]) * 0.02 for text in texts])


def test_without_pauses_it_is_one_text(spelling: Callable[[str], Recogniser]) -> None:
    stream = spelling(SCRIPT).stream()
    assert feed(stream, babble(2.0), [9_999]) == []
    assert stream.finish().text == "to dayso long xbye"


def test_each_utterance_starts_empty(spelling: Callable[[str], Recogniser]) -> None:
    stream = spelling("ab_____cd").stream(pause_s=0.1)
    stream.accept_waveform(babble(1.0)[: 16 * FRAME])  # six frames
    assert stream.partial().text == "ab"
    (ended,) = stream.accept_waveform(babble(1.0)[:FRAME])
    assert (ended.text, stream.partial().text) == ("ab", "")


def test_beam_search_of_utterances(spelling: Callable[[str], Recogniser]) -> None:
    stream = spelling("ab_____cd").stream(pause_s=0.1, decoder="beam", beam_width=4)
    first, second = stream.accept_waveform(babble(1.0))
    assert (first.text, second.text, stream.finish().text) == ("ab", "cd", "")
    assert [result.words[0].start for result in (first, second)] == pytest.approx([0.0, 0.14])


def test_utterances_keep_memory_flat(spelling: Callable[[str], Recogniser]) -> None:
    stream = spelling("to day_____" * 40).stream(pause_s=0.1)
    ended = feed(stream, babble(12.0), range(0, 12 * RATE, 5_120))
    assert len(ended) == 40
    assert len(stream._utterances._decoder._words) == 0


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([0.1, np.nan]), r"sample 4001 \(0.250 s\) is nan"),
        (np.array([np.inf]), r"sample 4000 \(0.250 s\) is inf"),
        (np.zeros(3, np.int32), "dtype int32, expected floating or int16"),
        (np.zeros(3, np.complex64), "dtype complex64"),
        (np.array(["a"]), "dtype <U1"),
        (np.zeros((2, 3)), r"shape \(2, 3\), expected \[samples\] of one channel"),
        (np.float32(0.5), r"shape \(\), expected \[samples\]"),
    ],
)
@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_refused_chunks_change_nothing(
    recogniser: Recogniser, bad: Any, message: str, rate: int
) -> None:
    samples = babble(1.0)
    stream = recogniser.stream(rate)
    stream.accept_waveform(samples[:4_000])
    with pytest.raises(AudioError, match=message.replace("0.250", f"{4000 / rate:.3f}")):
        stream.accept_waveform(bad)
    stream.accept_waveform(samples[4_000:])
    assert stream.finish().text == recogniser.transcribe(samples, rate).text


def test_clipped_samples_are_counted(recogniser: Recogniser) -> None:
    stream = recogniser.stream()
    stream.accept_waveform(np.array([0.5, 1.5, -2.0]))
    assert stream.partial().clipped_samples == 2
    stream.accept_waveform(np.array([3.0]))
    assert stream.finish().clipped_samples == 3


def test_nothing_after_finish(recogniser: Recogniser) -> None:
    stream = recogniser.stream()
    stream.accept_waveform(babble(0.5))
    assert not stream.finished
    result = stream.finish()
    assert stream.finished
    for call in (stream.finish, lambda: stream.accept_waveform(babble(0.1))):
        with pytest.raises(SessionFinishedError, match="finished after 0.500 s .* start a new one"):
            call()
    assert stream.partial().text == result.text
    assert recogniser.stream().partial().text == ""  # the recogniser stays usable


def test_chunk_without_memory_is_computed_with_the_next(
    recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = babble(1.5)
    stream = recogniser.stream()
    push = stream._session.push
    stream.accept_waveform(samples[:8_000])
    with monkeypatch.context() as patch:

        def fail(windows: Any) -> Any:
            raise EngineMemoryError("no memory")

        patch.setattr(stream._session, "push", fail)
        with pytest.raises(EngineMemoryError):
            stream.accept_waveform(samples[8_000:16_000])
    assert stream._session.push == push
    stream.accept_waveform(samples[16_000:])
    assert stream.finish().text == recogniser.transcribe(samples).text


@pytest.mark.parametrize("rate", [RATE, 8_000])
def test_finish_goes_on_after_an_engine_without_memory(
    recogniser: Recogniser, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = babble(2.0).astype(np.float32)
    whole, stream = recogniser.stream(rate), recogniser.stream(rate)
    for each in (whole, stream):
        each.accept_waveform(samples)
    with monkeypatch.context() as patch:

        def fail(windows: Any) -> Any:
            raise EngineMemoryError("no memory")

        patch.setattr(stream._session, "push", fail)
        for _ in range(2):
            with pytest.raises(EngineMemoryError):
                stream.finish()
            assert not stream.finished
    with pytest.raises(SessionFinishedError):  # the sound has ended all the same
        stream.accept_waveform(samples)
    found = stream.finish()
    assert found.text
    assert found == whole.finish()
    assert stream.finished
    with pytest.raises(SessionFinishedError):
        stream.finish()


def test_model_that_reads_backwards() -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=4)
    with pytest.raises(UnsupportedLayerError, match="needs a unidirectional model"):
        Recogniser(model, backend="reference").stream()


def test_arguments_are_checked(recogniser: Recogniser, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="sample rate is 100 Hz"):
        recogniser.stream(100)
    for pause in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="pause_s is"):
            recogniser.stream(pause_s=pause)
    with pytest.raises(ValueError, match="'greedy' or 'beam'"):
        recogniser.stream(decoder="best")
    with pytest.raises(LanguageModelError):
        recogniser.stream(decoder="beam", language_model=tmp_path / "none.arpa")


def test_reference_does_not_batch(recogniser: Recogniser) -> None:
    with pytest.raises(BackendError, match="'reference' steps one stream at a time"):
        recogniser.batcher()


def test_many_streams_share_a_batcher(monkeypatch: pytest.MonkeyPatch) -> None:
    put_fake_engine(monkeypatch)
    recogniser = Recogniser(MODEL, backend="cpu")
    sounds = [babble(0.5 + 0.3 * seed, seed=seed) for seed in range(5)]
    texts: dict[int, str] = {}

    def listen(number: int) -> None:
        stream = recogniser.stream(batcher=batcher)
        feed(stream, sounds[number], range(0, sounds[number].size, 1_000 * (number + 1)))
        texts[number] = stream.finish().text

    with recogniser.batcher() as batcher:
        threads = [threading.Thread(target=listen, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == {n: recogniser.transcribe(sound).text for n, sound in enumerate(sounds)}
    assert len(set(texts.values())) == 5


def test_public_names(recogniser: Recogniser) -> None:
    stream = recogniser.stream()
    assert isinstance(stream, ss.TranscriptionStream)
    assert isinstance(stream.finish(), ss.StreamResult)
