"""Prefix beam search against the sum over all alignments, torch's CTC loss and flashlight."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.decoding.numpy_beam_search import NumpyBeamSearchStream
from sparsespeech.decoding.prefix import Prefix
from sparsespeech.errors import AlphabetMismatchError
from tests.posteriors import posteriors, random_posteriors

pytestmark = pytest.mark.usefixtures("each_implementation")

EVERYTHING = {"beam_width": 10**9, "score_threshold": math.inf}
SMALL = Alphabet((" ", "a", "b"))


def all_texts(scores: NDArray[np.float32], alphabet: Alphabet) -> dict[str, float]:
    """Acoustic log-probability of every text: the sum over all alignments, one by one."""
    frames, classes = scores.shape
    totals: dict[str, float] = {}
    for path in itertools.product(range(classes), repeat=frames):
        score = sum(float(scores[t, c]) for t, c in enumerate(path))
        letters = [alphabet.symbols[c] for c, _ in itertools.groupby(path) if c != alphabet.blank]
        text = " ".join("".join(letters).split())
        totals[text] = float(np.logaddexp(totals.get(text, -np.inf), score))
    return totals


def small_model() -> LanguageModel:
    sentences = [["a", "b"], ["ab", "a"], ["b", "ab", "b"], ["a", "ab"], ["b"]] * 3
    return LanguageModel(train_ngram(sentences, 3).tables)


def english_model() -> LanguageModel:
    sentences = ["the cat sat on the mat", "the cat ate", "a dog sat", "the dog ate the cat"]
    return LanguageModel(train_ngram([sentence.split() for sentence in sentences], 3).tables)


@pytest.mark.parametrize("frames", [0, 1, 2, 4, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_unlimited_beam_sums_over_all_alignments(frames: int, seed: int) -> None:
    scores = random_posteriors(np.random.default_rng(seed), frames, SMALL.classes)
    found = BeamSearchDecoder(SMALL, **EVERYTHING).n_best(scores, 10**9)
    expected = all_texts(scores, SMALL)
    assert {t.text: t.score for t in found} == pytest.approx(expected, abs=1e-9)
    assert len(found) == len(expected)
    assert found[0].score == pytest.approx(max(expected.values()))
    assert [t.score for t in found] == sorted((t.score for t in found), reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_fusion_equals_scoring_every_text(alpha: float) -> None:
    """Known and unknown words ("aa", "ba", ...) with bonus, penalty and sentence end."""
    model, beta, penalty = small_model(), 1.5, 0.25
    scores = random_posteriors(np.random.default_rng(3), 6, SMALL.classes)
    expected = {}
    for text, acoustic in all_texts(scores, SMALL).items():
        words = text.split()
        unknown = sum(len(word) for word in words if word not in model)
        language = alpha * model.log_probability(words) + beta * len(words) - penalty * unknown
        expected[text] = acoustic + language
    decoder = BeamSearchDecoder(
        SMALL, 10**9, model, alpha, beta, unknown_penalty=penalty, score_threshold=math.inf
    )
    found = {t.text: t.score for t in decoder.n_best(scores, 10**9)}
    assert found == pytest.approx(expected, abs=1e-9)


def test_probability_equals_the_ctc_loss_of_torch() -> None:
    torch = pytest.importorskip("torch")
    alphabet = Alphabet(tuple("abc"))
    scores = random_posteriors(np.random.default_rng(5), 7, alphabet.classes)
    best = BeamSearchDecoder(alphabet, **EVERYTHING).decode(scores)
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(scores.astype(np.float64))[:, None],
        torch.from_numpy(alphabet.encode(best.text))[None],
        [len(scores)],
        [len(best.text)],
        blank=alphabet.blank,
        reduction="sum",
    )
    assert best.score == pytest.approx(-float(loss), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_best_text_equals_that_of_flashlight(seed: int) -> None:
    flashlight = pytest.importorskip("flashlight.lib.text.decoder")
    alphabet = Alphabet(tuple("abcdef"))
    scores = random_posteriors(np.random.default_rng(seed), 40, alphabet.classes, 3.0)
    options = flashlight.LexiconFreeDecoderOptions(
        200, alphabet.classes, 50.0, 0.0, 0.0, True, flashlight.CriterionType.CTC
    )
    decoder = flashlight.LexiconFreeDecoder(options, flashlight.ZeroLM(), -1, alphabet.blank, [])
    path = decoder.decode(scores.ctypes.data, *scores.shape)[0].tokens[1:-1]
    expected = "".join(alphabet.symbols[c] for c, _ in itertools.groupby(path) if c < 6)
    ours = BeamSearchDecoder(alphabet, 200, score_threshold=50.0).decode(scores)
    assert ours.text == expected


@pytest.mark.parametrize("width", [1, 4, 32])
def test_no_beam_finds_more_than_there_is(width: int) -> None:
    for seed in range(5):
        scores = random_posteriors(np.random.default_rng(seed), 6, SMALL.classes)
        exact = all_texts(scores, SMALL)
        for found in BeamSearchDecoder(SMALL, width).n_best(scores, 100):
            assert found.score <= exact[found.text] + 1e-9


def test_a_narrow_beam_is_right_where_the_posteriors_are_clear() -> None:
    frames = "--tt-hh-e--  c-aa-tt--  s-a-tt---"
    transcript = BeamSearchDecoder(Alphabet(), 4).decode(posteriors(frames, 0.8))
    assert transcript.text == "the cat sat"


@pytest.mark.parametrize("frames", ["", "-", "-----", "    ", "--  --  - "])
@pytest.mark.parametrize("fused", [False, True])
def test_silence_and_spaces_give_empty_text(frames: str, fused: bool) -> None:
    decoder = BeamSearchDecoder(Alphabet(), 16, english_model() if fused else None)
    transcript = decoder.decode(posteriors(frames, 0.97))
    assert transcript.text == ""
    assert transcript.words == ()


def test_times_and_confidence_of_clear_posteriors_equal_the_greedy_ones() -> None:
    scores = posteriors("--hheel-lloo--  -yoou--", 0.95)
    greedy = greedy_decode(scores, Alphabet(), 0.02)
    beam = BeamSearchDecoder(Alphabet(), 8).decode(scores)
    assert beam.text == greedy.text == "hello you"
    assert beam.words == greedy.words


@pytest.mark.parametrize("seed", range(6))
def test_times_are_those_of_the_best_single_alignment(seed: int) -> None:
    scores = random_posteriors(np.random.default_rng(seed), 6, SMALL.classes)
    transcript = BeamSearchDecoder(SMALL, frame_duration_s=1.0, **EVERYTHING).decode(scores)
    best = max(
        (
            path
            for path in itertools.product(range(SMALL.classes), repeat=len(scores))
            if text_of(path, SMALL) == transcript.text
        ),
        key=lambda path: sum(float(scores[t, c]) for t, c in enumerate(path)),
    )
    only_path = np.full(scores.shape, -1e3, np.float32)
    only_path[np.arange(len(best)), best] = scores[np.arange(len(best)), best]
    expected = greedy_decode(only_path, SMALL, 1.0).words
    assert [word.word for word in transcript.words] == [word.word for word in expected]
    for found, word in zip(transcript.words, expected, strict=True):
        assert (found.start, found.end) == (word.start, word.end)
        assert found.confidence == pytest.approx(word.confidence, rel=1e-5)


def text_of(path: tuple[int, ...], alphabet: Alphabet) -> str:
    letters = [alphabet.symbols[c] for c, _ in itertools.groupby(path) if c != alphabet.blank]
    return " ".join("".join(letters).split())


def test_the_language_model_decides_between_homophones() -> None:
    scores = posteriors("-the --c-at -s-at-", 0.9)
    scores[7, 2] = scores[7, 3] + 0.5  # "b" a little likelier than "c"
    assert BeamSearchDecoder(Alphabet(), 16).decode(scores).text == "the bat sat"
    assert BeamSearchDecoder(Alphabet(), 16, english_model()).decode(scores).text == "the cat sat"


def test_clear_words_outside_the_vocabulary_stay_possible() -> None:
    decoder = BeamSearchDecoder(Alphabet(), 16, english_model())
    scores = posteriors("-the --x-y-l-o-p-h-o-n-e -s-at-", 0.99)
    assert decoder.decode(scores).text == "the xylophone sat"
    strict = BeamSearchDecoder(Alphabet(), 16, english_model(), unknown_penalty=1e3)
    assert set(strict.decode(scores).text.split()) <= set(english_model().words())


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("fused", [False, True])
def test_any_chunking_gives_the_same_transcript(chunk: int, fused: bool) -> None:
    decoder = BeamSearchDecoder(Alphabet(), 16, english_model() if fused else None)
    scores = random_posteriors(np.random.default_rng(8), 60, 29)
    stream = decoder.stream()
    for first in range(0, len(scores), chunk):
        stream.accept(scores[first : first + chunk])
        stream.partial()
    assert stream.finish() == decoder.decode(scores)


def test_partial_results_follow_the_speech() -> None:
    stream = BeamSearchDecoder(Alphabet(), 16, english_model()).stream()
    seen = []
    for frame in posteriors("-t-h-e- -c-a-t- -s-a-t-", 0.95):
        stream.accept(frame[None])
        seen.append(stream.partial().text)
    assert [seen[number] for number in (0, 5, 11, 14, 22)] == ["", "the", "the ca", "the cat",
                                                              "the cat sat"]  # fmt: skip
    assert stream.finish().words[1].start == pytest.approx(9 * 0.02)


def tree_below(prefix: Prefix) -> set[Prefix]:
    found, waiting = set(), [prefix]
    while waiting:
        found.add(waiting[-1])
        waiting.extend(waiting.pop().children.values())
    return found


def test_a_stream_keeps_only_what_leads_to_the_beam() -> None:
    stream = NumpyBeamSearchStream(BeamSearchDecoder(Alphabet(), 8))
    stream.accept(random_posteriors(np.random.default_rng(9), 300, 29))
    needed = set()
    for prefix in stream._prefixes:
        node: Prefix | None = prefix
        while node is not None:
            needed.add(node)
            root, node = node, node.parent
    assert tree_below(root) == needed


@pytest.mark.parametrize(("width", "spread"), [(6, 2.0), (12, 1.0)])
def test_prefixes_in_the_beam_are_different_texts(width: int, spread: float) -> None:
    """Also when a prefix leaves the beam before its child does, and comes back."""
    decoder = BeamSearchDecoder(Alphabet(tuple(" ab")), width, score_threshold=60.0)
    stream = NumpyBeamSearchStream(decoder)
    rng = np.random.default_rng(10)
    for _ in range(300):
        stream.accept(random_posteriors(rng, 1, 4, spread))
        texts = []
        for prefix in stream._prefixes:
            letters, node = [], prefix
            while node.parent is not None:
                letters.append(node.symbol)
                node = node.parent
            texts.append(tuple(letters))
        assert len(set(texts)) == len(texts)


def test_an_alphabet_without_a_space_writes_one_word() -> None:
    alphabet = Alphabet(tuple("ab"))
    transcript = BeamSearchDecoder(alphabet, 8).decode(posteriors("-ab-b-", 0.9, alphabet))
    assert [word.word for word in transcript.words] == ["abb"]


def test_impossible_frames_do_not_empty_the_beam() -> None:
    scores = posteriors("-a-b-", 0.9)
    scores[2] = -np.inf
    stream = BeamSearchDecoder(Alphabet(), 8).stream()
    stream.accept(scores)
    assert stream.finish().score == -np.inf


def test_words_that_cannot_be_written_are_counted() -> None:
    model = LanguageModel(train_ngram([["abc", "naïve", "dog"]], 2).tables)
    assert BeamSearchDecoder(Alphabet(), 8, model).ignored_words == 1
    with pytest.raises(AlphabetMismatchError, match="ï"):
        BeamSearchDecoder(Alphabet(tuple(" xy")), 8, model)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"beam_width": 0}, "beam_width must be at least 1, got 0"),
        ({"score_threshold": -1.0}, "score_threshold must be at least 0, got -1.0"),
        ({"score_threshold": math.nan}, "score_threshold must be at least 0, got nan"),
        ({"alpha": math.inf}, r"alpha must be within \+-1e\+06, got inf"),
        ({"beta": math.nan}, r"beta must be within \+-1e\+06, got nan"),
        ({"unknown_penalty": -1e7}, r"unknown_penalty must be within \+-1e\+06, got -1"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        BeamSearchDecoder(Alphabet(), language_model=english_model(), **arguments)


@pytest.mark.parametrize("impossible", [math.nan, math.inf])
def test_a_refused_chunk_leaves_the_stream_as_it_was(impossible: float) -> None:
    scores = posteriors("-a-b-", 0.9)
    stream = BeamSearchDecoder(Alphabet(), 8).stream()
    stream.accept(scores)
    expected = stream.finish()
    bad = scores.copy()
    bad[3, 7] = impossible
    with pytest.raises(ValueError, match=f"frame 3, class 7 is {impossible}"):
        stream.accept(bad)
    with pytest.raises(ValueError, match=r"\(5, 28\).*29"):
        stream.accept(scores[:, :28])
    assert stream.finish() == expected


def test_equal_scores_at_the_edge_of_the_beam_keep_the_first() -> None:
    """All letters are equally likely: those of the lowest classes stay."""
    scores = np.full((1, 29), math.log(1 / 29), np.float32)
    found = BeamSearchDecoder(Alphabet(tuple("zyxwvutsrqponmlkjihgfedcba -_")[:28]), 4)
    assert [t.text for t in found.n_best(scores, 9)] == ["", "z", "y", "x"]


def test_an_arpa_file_serves_the_search(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa.gz"
    train_ngram([["hello", "world"]] * 3, 2).write_arpa(path)
    model = LanguageModel.read_for(path, Alphabet())
    transcript = BeamSearchDecoder(Alphabet(), 16, model).decode(posteriors("-hel-lo- wor-ld"))
    assert transcript.text == "hello world"
