"""The run flow, with random models and with an executor that spells a given text."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import sparsespeech as ss
from sparsespeech.backend import is_built
from sparsespeech.errors import (
    AlphabetMismatchError,
    AudioError,
    AudioTooLongError,
    AudioTruncatedError,
    BackendError,
    LanguageModelError,
    ModelFileError,
    UnsupportedLayerError,
)
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import Recogniser
from tests.random_models import random_integer_model
from tests.scripted_backend import ScriptedExecutor, babble

RATE = 16_000


def random_model(**settings: Any) -> IntegerModel:
    return random_integer_model(np.random.default_rng(0), hidden=16, **settings)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(random_model())


@pytest.fixture
def spelling(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Recogniser]:
    """Makes recognisers that hear one text in everything."""

    def make(text: str) -> Recogniser:
        monkeypatch.setattr(
            "sparsespeech.recogniser.load_backend",
            lambda name: lambda model, threads: ScriptedExecutor(model, text),
        )
        return Recogniser(random_model())

    return make


# ---- log-probabilities -----------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (400, 1), (401, 2), (16_000, 50)])
def test_frames_and_classes(recogniser: Recogniser, samples: int, frames: int) -> None:
    log_probabilities = recogniser.log_probabilities(babble(1.0)[:samples])
    assert log_probabilities.shape == (frames, 29)
    assert log_probabilities.dtype == np.float32
    assert np.exp(log_probabilities).sum(axis=1) == pytest.approx(np.ones(frames), abs=1e-5)


def test_log_probabilities_are_those_of_the_definition(recogniser: Recogniser) -> None:
    samples, model = babble(0.2), recogniser.model
    frames = quantize_frames(extract_mfcc(samples, recogniser.features), model.input)
    windows = context_windows(frames, 9, model.input.zero_point)
    logits = ReferenceExecutor(model, method="definitional").run(windows)
    nats = logits * model.layers[-1].scale.astype(np.float64)
    wanted = nats - np.logaddexp.reduce(nats, axis=1, keepdims=True)
    assert wanted.std(axis=0).max() > 0.1  # else the input would not matter
    assert recogniser.log_probabilities(samples) == pytest.approx(wanted, abs=1e-5)


def test_nothing_is_kept_between_recordings(recogniser: Recogniser) -> None:
    first = recogniser.log_probabilities(babble(0.5))
    recogniser.log_probabilities(babble(0.7, seed=2))
    assert np.array_equal(recogniser.log_probabilities(babble(0.5)), first)


# ---- transcribing ----------------------------------------------------------------------------


def test_greedy_text_is_the_best_path_without_repeats_and_blanks(recogniser: Recogniser) -> None:
    samples = babble(2.0)
    best = recogniser.log_probabilities(samples).argmax(axis=1)
    letters = [int(number) for number, _ in itertools.groupby(best) if number != 28]
    text = "".join(recogniser.alphabet.symbols[number] for number in letters)
    assert recogniser.transcribe(samples).text == " ".join(text.split())


def test_words_times_and_confidence(spelling: Callable[[str], Recogniser]) -> None:
    result = spelling("good day").transcribe(babble(1.0))
    assert result.text == "good day"
    assert [word.word for word in result.words] == ["good", "day"]
    assert result.duration_s == 1.0
    edges = [edge for word in result.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= 1.0
    assert all(0.9 < word.confidence <= 1.0 for word in result.words)


def test_no_word_ends_after_the_recording(spelling: Callable[[str], Recogniser]) -> None:
    samples = babble(1.0)[: 400 + 3 * 320 + 1]  # 5 frames; the last one reaches 1 sample in
    result = spelling("abcde").transcribe(samples)
    assert [word.end for word in result.words] == [samples.size / RATE]


def test_file_and_array_give_the_same(recogniser: Recogniser, tmp_path: Path) -> None:
    samples = babble(1.0)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    from_file = recogniser.transcribe(tmp_path / "a.wav")
    from_array = recogniser.transcribe(samples)
    assert (from_file.text, from_file.words) == (from_array.text, from_array.words)


def test_array_of_another_rate(spelling: Callable[[str], Recogniser]) -> None:
    stereo = np.stack([babble(1.0), babble(1.0)], axis=1)[::2]
    assert spelling("yes").transcribe(stereo, 8000).duration_s == 1.0


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0, 60.0])
def test_silence_gives_no_text(spelling: Callable[[str], Recogniser], seconds: float) -> None:
    result = spelling("i").transcribe(np.zeros(round(seconds * RATE)))
    assert (result.text, result.words, result.duration_s) == ("", (), seconds)


def test_noise_gives_no_text(spelling: Callable[[str], Recogniser]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    assert spelling("i").transcribe(noise).text == ""


def test_stages_of_the_table(recogniser: Recogniser) -> None:
    timing = recogniser.transcribe(babble(0.5)).timing
    layers = [layer.name for layer in recogniser.model.layers]
    wanted = ["audio", "features", *layers, "softmax", "decoding", "end to end"]
    assert [entry.stage for entry in timing] == wanted
    assert all(entry.seconds >= 0 for entry in timing)
    assert sum(entry.seconds for entry in timing[:-1]) <= timing[-1].seconds


# ---- refusals --------------------------------------------------------------------------------


def test_bidirectional_models_refuse_more_than_600_seconds(recogniser: Recogniser) -> None:
    with pytest.raises(AudioTooLongError, match=r"lasts 601\.0 s, the limit is 600 s"):
        recogniser.transcribe(np.zeros(601 * RATE, dtype=np.float32))


def test_limit_can_be_moved(recogniser: Recogniser) -> None:
    with pytest.raises(AudioTooLongError, match=r"the limit is 0\.5 s"):
        recogniser.transcribe(babble(1.0), max_duration_s=0.5)


def test_unidirectional_models_have_no_limit() -> None:
    assert Recogniser(random_model(bidirectional=False)).default_max_duration_s is None


def test_ten_hours_are_refused_from_the_header(recogniser: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, babble(0.1), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[24:32] = np.array([4000, 8000], dtype="<u4").tobytes()  # 4 kHz
    place = content.index(b"data") + 4
    content[place : place + 4] = np.array([2 * 36_000 * 4000], dtype="<u4").tobytes()
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(len(content) + 2 * 36_000 * 4000)  # a hole in the file: no disk space
    with pytest.raises(AudioTooLongError, match=r"lasts 36000\.\d s, the limit is 600 s"):
        recogniser.transcribe(path)


def test_truncated_recording(recogniser: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, babble(1.0), RATE)
    path.write_bytes(path.read_bytes()[:20_044])
    with pytest.raises(AudioTruncatedError, match="declares 16000 and holds 10000"):
        recogniser.transcribe(path)
    result = recogniser.transcribe(path, allow_truncated=True)
    assert result.truncated
    assert result.duration_s == 10_000 / RATE


def test_bad_samples(recogniser: Recogniser) -> None:
    with pytest.raises(AudioError, match="samples: sample 3 "):
        recogniser.transcribe(np.array([0.0, 0.1, 0.2, np.nan]))


def test_clipped_samples_are_counted(recogniser: Recogniser) -> None:
    samples = babble(0.5)
    samples[:3] = 1.5
    assert recogniser.transcribe(samples).clipped_samples == 3


@pytest.mark.skipif(not is_built("cpu"), reason="the native engine was not built")
def test_wide_models_are_refused_by_the_cpu_engine_with_the_way_out() -> None:
    with pytest.raises(UnsupportedLayerError, match="16-bit activations.*--backend reference"):
        Recogniser(random_model(wide=True), backend="cpu")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_wide_models_run_on_the_reference(bidirectional: bool) -> None:
    model = random_model(wide=True, bidirectional=bidirectional)
    recogniser = Recogniser(model, backend="reference")
    samples = babble(0.5)
    frames = (extract_mfcc(samples, recogniser.features) - model.input.mean) / model.input.deviation
    integers = np.clip(np.floor(frames / model.input.scale + 0.5), -32768, 32767).astype(np.int16)
    windows = context_windows(integers, recogniser.features.context, 0)
    logits = ReferenceExecutor(model).run(windows)
    nats = logits * model.layers[-1].scale.astype(np.float64)
    expected = nats - np.log(np.exp(nats - nats.max(1, keepdims=True)).sum(1, keepdims=True))
    expected -= nats.max(1, keepdims=True)
    found = recogniser.log_probabilities(samples)
    assert len(found) == 25
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    text = recogniser.transcribe(samples).text
    if not bidirectional:
        stream = recogniser.stream()
        for start in range(0, len(samples), 1234):
            stream.accept_waveform(samples[start : start + 1234])
        assert stream.finish().text == text


def test_unknown_backend() -> None:
    with pytest.raises(BackendError, match="'tpu' does not exist .*available: .*reference"):
        Recogniser(random_model(), backend="tpu")


# ---- decoders --------------------------------------------------------------------------------

ARPA = """\\data\\
ngram 1=5
\\1-grams:
-1.0 <s>
-1.0 </s>
-2.0 <unk>
-0.5 day
-0.5 good
\\end\\
"""


def arpa_file(folder: Path, content: str = ARPA) -> Path:
    path = folder / "lm.arpa"
    path.write_text(content)
    return path


def test_beam_search_with_language_model(
    spelling: Callable[[str], Recogniser], tmp_path: Path
) -> None:
    recogniser = spelling("good day")
    assert recogniser.transcribe(babble(1.0), decoder="beam").text == "good day"
    with_model = recogniser.transcribe(
        babble(1.0), decoder="beam", beam_width=8, language_model=arpa_file(tmp_path)
    )
    assert with_model.text == "good day"


def test_language_model_is_read_once(recogniser: Recogniser, tmp_path: Path) -> None:
    path = arpa_file(tmp_path)
    recogniser.decoder("beam", language_model=path)
    path.unlink()
    recogniser.decoder("beam", language_model=path)
    with pytest.raises(LanguageModelError):
        recogniser.decoder("beam", language_model=tmp_path / "other.arpa")


def test_language_model_of_another_alphabet(recogniser: Recogniser, tmp_path: Path) -> None:
    russian = ARPA.replace("good", "хорошо").replace("day", "день")
    with pytest.raises(AlphabetMismatchError):
        recogniser.decoder("beam", language_model=arpa_file(tmp_path, russian))


def test_decoder_arguments_are_checked(recogniser: Recogniser, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs decoder='beam'"):
        recogniser.decoder("greedy", language_model=arpa_file(tmp_path))
    with pytest.raises(ValueError, match="'greedy' or 'beam', got 'best'"):
        recogniser.decoder("best")


# ---- loading ---------------------------------------------------------------------------------


def test_public_api(tmp_path: Path) -> None:
    write_model(random_model(), tmp_path / "m.safetensors")
    model = ss.load(tmp_path / "m.safetensors")
    assert isinstance(model, ss.Recogniser)
    result = model.transcribe(babble(0.5))
    expected = Recogniser(random_model()).transcribe(babble(0.5))
    assert isinstance(result, ss.Transcription)
    assert (result.text, result.words) == (expected.text, expected.words)


def test_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nope\.safetensors: no such model"):
        ss.load(tmp_path / "nope.safetensors")
