"""The native decoders against the numpy ones: equal to the last bit, and safe with bad input.

Random cases are in tests/property/test_native_decoders.py.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.decoding import implementation
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.arpa import NgramTable, NgramTables
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode, numpy_greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.native_beam_search import NativeBeamSearchStream
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.decoding.numpy_beam_search import NumpyBeamSearchStream
from sparsespeech.decoding.transcript import Transcript
from tests.posteriors import posteriors, random_posteriors
from tests.random_sentences import random_sentences

native: Any = implementation.native_decoding()
if native is None:
    pytest.skip("the native decoders were not built", allow_module_level=True)

WORDS = "the a cat cats act sat sad that hat had mat at it is in tin sea seat tea"
EMPTY = np.zeros(0, np.int64)


def english_model(order: int = 3) -> LanguageModel:
    by_letter = dict(zip("abcdefgh", WORDS.split(), strict=False))
    sentences = [[by_letter[letter] for letter in s] for s in random_sentences(5, 300)]
    return LanguageModel(train_ngram([*sentences, WORDS.split()], order).tables)


def reference(decoder: BeamSearchDecoder, scores: NDArray[np.float32]) -> list[Transcript]:
    stream = NumpyBeamSearchStream(decoder)
    stream.accept(scores)
    return stream.n_best(100)


def noisy_speech(seed: int, noise: float = 3.0) -> NDArray[np.float32]:
    """Posteriors that vaguely say known words, float32[T, 29]."""
    rng = np.random.default_rng(seed)
    text = " ".join(rng.choice(WORDS.split(), 8))
    logits = posteriors("".join(f"-{letter}{letter}-" for letter in text), 0.9).astype(np.float64)
    logits += rng.normal(0.0, noise, logits.shape)
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def test_the_native_decoders_are_chosen() -> None:
    assert isinstance(BeamSearchDecoder(Alphabet(), 8).stream(), NativeBeamSearchStream)


def test_without_the_native_module_numpy_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = noisy_speech(0)
    expected = greedy_decode(scores, Alphabet())
    monkeypatch.setattr(implementation, "_native", None)
    assert isinstance(BeamSearchDecoder(Alphabet(), 8).stream(), NumpyBeamSearchStream)
    assert greedy_decode(scores, Alphabet()) == expected


def test_sums_of_logarithms_are_those_of_numpy() -> None:
    """On them rests that scores are equal: both call exp and log1p of the same C library."""
    rng = np.random.default_rng(0)
    size = 100_000
    x = np.concatenate([rng.uniform(-60, 0, size), -(10.0 ** rng.uniform(-20, 3, size))])
    y = np.concatenate([x[:size] - rng.exponential(5.0, size), rng.permutation(x)[:size]])
    edges = [-math.inf, -1e308, -745.2, -1.0, -1e-300, -0.0, 0.0, 1e-300, 3.0]
    pairs = [*zip(x.tolist(), y.tolist(), strict=True), *((a, b) for a in edges for b in edges)]
    found = [native.log_add(a, b) for a, b in pairs]
    np.testing.assert_array_equal(found, np.logaddexp(*np.array(pairs).T))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_noisy_speech_gives_equal_transcripts(seed: int, order: int) -> None:
    model = english_model(order) if order else None
    decoder = BeamSearchDecoder(Alphabet(), 24, model)
    scores = noisy_speech(seed)
    found = decoder.n_best(scores, 100)
    assert found == reference(decoder, scores)
    assert len(found) > 3 and len(found[0].words) > 2
    greedy = numpy_greedy_decode(scores.astype(np.float64), Alphabet(), 0.02)
    assert greedy_decode(scores, Alphabet()) == greedy


@pytest.mark.parametrize(
    "weights",
    [
        (0.0, 0.0, 0.0),
        (0.0, 1.2, 2.0),
        (2.5, -3.0, 0.1),
        (-0.5, 1.0, -1.0),
        (np.float32(0.7), 1, 2),
    ],
)
def test_any_weights_give_equal_transcripts(weights: tuple[float, float, float]) -> None:
    alpha, beta, penalty = weights
    decoder = BeamSearchDecoder(
        Alphabet(), 24, english_model(), alpha, beta, unknown_penalty=penalty
    )
    assert decoder.n_best(noisy_speech(7), 100) == reference(decoder, noisy_speech(7))


@pytest.mark.parametrize(
    "symbols",
    [
        ("a",),
        tuple("ab"),
        (" ",),
        ("th", "t", "h", " ", "e"),  # two ways to write a word
        ("a", "", " "),
        (" ", "a", " ", "b"),
        ("ä", "\U0001f600", " ", "\udc80", "<s>", "</s>", "<unk>"),
    ],
)
def test_odd_alphabets_give_equal_transcripts(symbols: tuple[str, ...]) -> None:
    alphabet = Alphabet(symbols)
    words = ["the", "a", "ab", "aa", "ä", "\U0001f600ä", "\udc80", "te"]
    models: list[LanguageModel | None] = [None]
    writable = [word for word in words if set(word) <= set(symbols)]
    if writable:
        sentences = [writable, writable[::-1], [writable[-1], "unwritable"]]
        models.append(LanguageModel(train_ngram(sentences, 2).tables))
    for seed in range(5):
        scores = random_posteriors(np.random.default_rng(seed), 12, alphabet.classes)
        for model in models:
            decoder = BeamSearchDecoder(alphabet, 9, model)
            assert decoder.n_best(scores, 100) == reference(decoder, scores)
        greedy = numpy_greedy_decode(scores.astype(np.float64), alphabet, 0.02)
        assert greedy_decode(scores, alphabet) == greedy


def test_special_words_that_can_be_written_are_no_known_words() -> None:
    alphabet = Alphabet(tuple("</s>unk ab"))
    model = LanguageModel(train_ngram([["a", "b"], ["ab", "a"]] * 2, 2).tables)
    decoder = BeamSearchDecoder(alphabet, 40, model, unknown_penalty=0.5)
    scores = posteriors("-a -</s>- <unk> b", 0.9, alphabet)
    found = decoder.n_best(scores, 100)
    assert found[0].text == "a </s> <unk> b"
    assert found == reference(decoder, scores)


def test_a_model_without_sentence_end_or_start() -> None:
    unigrams = NgramTable(np.array([[0], [1]], np.int32), np.array([-0.5, -1.0]), np.zeros(2))
    model = LanguageModel(NgramTables(("a", "the"), (unigrams,)))
    decoder = BeamSearchDecoder(Alphabet(), 16, model)
    assert decoder.n_best(noisy_speech(1), 100) == reference(decoder, noisy_speech(1))


def test_a_pruned_model_that_lacks_a_shorter_ngram() -> None:
    """ "the cat sat" is listed, "cat sat" is not: no back-off weight of "cat" is added."""
    vocabulary = ("the", "cat", "sat")
    unigrams = NgramTable(np.array([[0], [1], [2]], np.int32), -np.ones(3), -np.full(3, 0.7))
    pairs = NgramTable(np.array([[0, 1]], np.int32), np.array([-0.1]), np.array([-0.3]))
    triples = NgramTable(np.array([[0, 1, 2]], np.int32), np.array([-0.2]), np.zeros(1))
    model = LanguageModel(NgramTables(vocabulary, (unigrams, pairs, triples)))
    decoder = BeamSearchDecoder(Alphabet(), 32, model)
    scores = posteriors("-the cat- sat the- cat cat sat", 0.7)
    found = decoder.n_best(scores, 100)
    assert found == reference(decoder, scores)
    assert found[0].text == "the cat sat the cat cat sat"


def test_huge_numbers_are_as_good_as_no_limit() -> None:
    alphabet = Alphabet(tuple(" a"))
    scores = random_posteriors(np.random.default_rng(0), 5, 3)
    decoder = BeamSearchDecoder(alphabet, 10**20, score_threshold=math.inf)
    assert decoder.n_best(scores, 10**20) == reference(decoder, scores)


@pytest.mark.parametrize("width", [1, 6, 40])
@pytest.mark.parametrize("fused", [False, True])
def test_a_long_stream_keeps_as_little_as_the_reference(width: int, fused: bool) -> None:
    """Prefixes and characters of alignments that lead to the beam, and nothing else."""
    decoder = BeamSearchDecoder(Alphabet(), width, english_model() if fused else None)
    stream, expected = decoder.stream(), NumpyBeamSearchStream(decoder)
    assert isinstance(stream, NativeBeamSearchStream)
    for seed in range(8):
        scores = noisy_speech(seed)
        stream.accept(scores)
        expected.accept(scores)
        assert stream.partial() == expected.partial()
        assert stream._search.sizes() == sizes_of_reference(expected)


def sizes_of_reference(stream: NumpyBeamSearchStream) -> tuple[int, int, int]:
    prefixes, links = set(), set()
    for prefix in stream._prefixes:
        node = prefix
        while node is not None:
            prefixes.add(node)
            node = node.parent
    for link in (*stream._link_blank, *stream._link_other):
        while link is not None and id(link) not in links:
            links.add(id(link))
            link = link[0]
    return len(stream._prefixes), len(prefixes), len(links)


def test_a_very_long_text_is_given_back_without_recursion() -> None:
    """A chain of 60,000 alignment links: a recursive release of it would overflow the stack."""
    alphabet = Alphabet(tuple("ab"))
    decoder = BeamSearchDecoder(alphabet, 1)
    stream = decoder.stream()
    stream.accept(posteriors("ab" * 30_000, 0.99, alphabet))
    assert stream.finish().text == "ab" * 30_000
    del stream


def test_threads_may_share_a_stream_and_do_not_wait_for_each_other() -> None:
    """Each chunk is taken whole; the interpreter runs on while one is searched."""
    decoder = BeamSearchDecoder(Alphabet(), 64, english_model())
    stream = decoder.stream()
    chunk = noisy_speech(3)
    threads = [
        threading.Thread(target=lambda: [stream.accept(chunk) for _ in range(5)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.finish() == decoder.decode(np.tile(chunk, (15, 1)))


def test_other_threads_run_during_a_search() -> None:
    stream = BeamSearchDecoder(Alphabet(), 256).stream()
    scores = np.tile(noisy_speech(3, 1.0), (40, 1))
    times = []

    def search() -> None:
        times.append(time.perf_counter())
        stream.accept(scores)
        times.append(time.perf_counter())

    searching = threading.Thread(target=search)
    searching.start()
    turns = []
    while searching.is_alive():
        turns.append(time.perf_counter())
    # A search under the lock of the interpreter lets this thread run before and after it only.
    begin, end = times
    quarter = (end - begin) / 4
    assert any(begin + quarter < turn < end - quarter for turn in turns)


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((3, 28)),
        np.zeros((29, 28)),  # as many numbers as 28 frames of 29 classes
        np.zeros((3, 29), np.float32),
        np.zeros((29, 3)).T,
        np.zeros(29),
        np.full((3, 29), np.nan),
        np.full((3, 29), np.inf),
        [[0.0] * 29],
        None,
    ],
)
def test_the_native_search_refuses_what_it_cannot_read(scores: object) -> None:
    alphabet = native.Alphabet([[97 + letter] for letter in range(28)])
    search = native.BeamSearch(alphabet, None, 8, 12.0)
    with pytest.raises((ValueError, TypeError)):
        search.accept(scores)
    assert search.n_best(5) == [(0.0, [])]


def test_the_native_greedy_decoder_refuses_another_number_of_classes() -> None:
    alphabet = native.Alphabet([[97 + letter] for letter in range(28)])
    assert native.greedy_decode(alphabet, np.zeros((0, 29))) == (0.0, [])
    with pytest.raises(ValueError, match="expected 29 classes in a frame, got 28"):
        native.greedy_decode(alphabet, np.zeros((29, 28)))


def levels() -> list[list[NDArray[Any]]]:
    """Two words with one pair."""
    return [
        [np.array([0, 1], np.int32), np.array([-1.0, -2.0]), np.zeros(2), np.array([0, 1, 1])],
        [np.array([1], np.int32), np.array([-0.5]), np.zeros(1), EMPTY],
    ]


@pytest.mark.parametrize(
    ("level", "array", "value", "named"),
    [
        (0, 3, np.array([0, 1]), "child_start"),
        (0, 3, np.array([0, 2, 1]), "child_start"),
        (0, 3, np.array([0, 1, 2]), "child_start"),
        (0, 3, np.array([-1, 0, 1]), "child_start"),
        (0, 1, np.array([-1.0]), "one probability"),
        (1, 2, np.zeros(2), "one probability"),
        (1, 1, np.array([np.nan]), "1e6"),
        (1, 2, np.array([-np.inf]), "1e6"),
    ],
)
def test_ngram_arrays_that_do_not_fit_are_refused(
    level: int, array: int, value: NDArray[Any], named: str
) -> None:
    arrays = levels()
    native.NgramModel([tuple(row) for row in arrays])
    arrays[level][array] = value
    with pytest.raises(ValueError, match=named):
        native.NgramModel([tuple(row) for row in arrays])


def test_no_levels_and_too_many_are_refused() -> None:
    for number in (0, 11):
        with pytest.raises(ValueError, match="1 to 10 levels"):
            native.NgramModel([tuple(row) for row in levels()[:1]] * number)


def lexicon(**changes: NDArray[Any]) -> Any:
    """The words "a" and "bc" with the numbers 0 and 1."""
    arguments = {
        "code_points": np.array([97, 98, 99], np.uint32),
        "lengths": np.array([1, 2]),
        "numbers": np.array([0, 1], np.int32),
        "known": np.ones(2, np.bool_),
        "looked_ahead": np.ones(2, np.bool_),
        "unigrams": np.array([-1.0, -2.0], np.float32),
    }
    return native.Lexicon(**(arguments | changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lengths", np.array([1, 3])),
        ("lengths", np.array([-1, 2])),
        ("lengths", np.array([1])),
        ("numbers", np.array([0, -1], np.int32)),
        ("unigrams", np.zeros(3, np.float32)),
        ("known", np.ones(1, np.bool_)),
    ],
)
def test_words_that_do_not_fit_are_refused(name: str, value: NDArray[Any]) -> None:
    lexicon()
    with pytest.raises(ValueError):
        lexicon(**{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"initial_state": [2]},
        {"initial_state": [-2]},
        {"initial_state": [0, 0]},
        {"initial_state": [0] * 10},
        {"unknown": 2},
        {"unknown": -1},
        {"sentence_end": 2},
        {"sentence_end": -2},
        {"alpha": math.nan},
        {"beta": math.inf},
        {"unknown_penalty": 2e6},
        {"lexicon": [0, 2]},
    ],
)
def test_a_scorer_that_leaves_its_model_is_refused(changes: dict[str, Any]) -> None:
    def scorer(**changes: Any) -> Any:
        numbers = np.array(changes.pop("lexicon", [0, 1]), np.int32)
        settings = {
            "initial_state": [0],
            "unknown": 1,
            "sentence_end": -1,
            "alpha": 1.0,
            "beta": 1.0,
            "unknown_penalty": 1.0,
        }
        model = native.NgramModel([tuple(row) for row in levels()])
        return native.WordScorer(model, lexicon(numbers=numbers), **(settings | changes))

    scorer()
    with pytest.raises(ValueError):
        scorer(**changes)


def test_the_arrays_of_a_language_model_live_as_long_as_the_search() -> None:
    decoder = BeamSearchDecoder(Alphabet(), 16, english_model())
    expected = reference(decoder, noisy_speech(2))
    stream = decoder.stream()
    del decoder
    rubbish = [np.full(1000, -1.0) for _ in range(200)]
    stream.accept(noisy_speech(2))
    assert stream.n_best(100) == expected
    assert len(rubbish) == 200
