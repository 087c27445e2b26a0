"""Modified Kneser-Ney against a slow implementation that follows the paper's formulas."""

import gzip
import itertools
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import (
    FALLBACK_DISCOUNTS,
    NgramModel,
    estimate_discounts,
    train_ngram,
)
from tests.random_sentences import random_sentences

Ngram = tuple[str, ...]


class DictionaryKneserNey:
    """Chen and Goodman 1999, eq. 26-28, one dictionary lookup at a time."""

    def __init__(self, sentences: list[list[str]], order: int, prune: int = 0) -> None:
        self.order = order
        self.prune = prune  # of the highest order
        framed = [["<s>", *sentence, "</s>"] for sentence in sentences]
        self.raw = {
            n: Counter(tuple(s[i : i + n]) for s in framed for i in range(len(s) - n + 1))
            for n in range(1, order + 1)
        }
        self.words = sorted({word for s in framed for word in s} - {"<s>"} | {"<unk>"})
        self.counts = {order: dict(self.raw[order])}
        for n in range(1, order):
            predecessors = defaultdict(set)
            for longer in self.raw[n + 1]:
                predecessors[longer[1:]].add(longer[0])
            self.counts[n] = {
                ngram: count if ngram[0] == "<s>" else len(predecessors[ngram])
                for ngram, count in self.raw[n].items()
            }
        self.counts[1].pop(("<s>",), None)
        self.discounts = {n: self._discounts(self.counts[n]) for n in self.counts}

    @staticmethod
    def _discounts(counts: dict[Ngram, int]) -> tuple[float, float, float]:
        n1, n2, n3, n4 = (sum(count == k for count in counts.values()) for k in (1, 2, 3, 4))
        if not n1 * n2 * n3 * n4:
            return FALLBACK_DISCOUNTS
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 < d <= k for k, d in enumerate(found, 1)) else FALLBACK_DISCOUNTS

    def probability(self, word: str, history: Ngram) -> float:
        history = history[max(0, len(history) - self.order + 1) :]
        n = len(history) + 1
        lower = self.probability(word, history[1:]) if history else 1 / len(self.words)
        seen = {
            ngram[-1]: count for ngram, count in self.counts[n].items() if ngram[:-1] == history
        }
        if not seen:
            return lower
        total = sum(seen.values())
        own, left = 0.0, 0.0
        for other, count in seen.items():
            kept = n < self.order or self.raw[n][(*history, other)] > self.prune
            discount = self.discounts[n][min(count, 3) - 1] if kept else count
            left += discount
            own += (count - discount) / total if other == word else 0.0
        return own + left / total * lower


def probability(model: LanguageModel, word: str, history: Ngram) -> float:
    """P(word | history); the history begins a sentence if its first word is ``<s>``."""
    state = model.initial_state
    if not history or history[0] != "<s>":
        state = (-1,) * (model.order - 1)
    for earlier in history:
        if earlier != "<s>":
            state = model.score(state, earlier)[1]
    if word == "</s>":
        return math.exp(model.score_end(state))
    return math.exp(model.score(state, word)[0])


def scored(model: NgramModel) -> LanguageModel:
    return LanguageModel(model.tables)


HISTORIES: list[Ngram] = [
    (),
    ("<s>",),
    *itertools.product("abch", repeat=1),
    *itertools.product("abh", repeat=2),
    ("<s>", "a"),
    ("<s>", "h", "b"),
    ("a", "b", "c"),
    ("h", "h", "h"),
]


@pytest.mark.parametrize(
    ("count", "order", "prune"), [(400, 1, 0), (400, 2, 0), (400, 3, 0), (300, 4, 0), (400, 3, 2)]
)
def test_equals_the_papers_formulas(count: int, order: int, prune: int) -> None:
    sentences = random_sentences(5, count)
    slow = DictionaryKneserNey(sentences, order, prune)
    trained = train_ngram(sentences, order, prune=(0,) * (order - 1) + (prune,))
    for n in range(1, order + 1):
        assert trained.discounts[n - 1] == pytest.approx(slow.discounts[n])
    model = scored(trained)
    for history in HISTORIES:
        for word in [*"abcdefgh", "</s>", "<unk>"]:
            expected = slow.probability(word, history)
            assert probability(model, word, history) == pytest.approx(expected, rel=1e-9)


def test_tiny_corpus_by_hand() -> None:
    """Two sentences, "a b" and "a c", order 2, with the fallback discounts 0.5, 1, 1.5.

    Bigrams: <s> a (2), a b, a c, b </s>, c </s> (1 each). Predecessors: a 1, b 1, c 1, </s> 2,
    so the single words have 5 in all and hand down (3 * 0.5 + 1) / 5 = 0.5 to the uniform 1/5.
    """
    trained = train_ngram([["a", "b"], ["a", "c"]], 2)
    assert trained.fallback_orders == (1, 2)
    model = scored(trained)
    single = {"a": 0.5 / 5 + 0.1, "</s>": 1 / 5 + 0.1, "<unk>": 0.1}
    for word, expected in single.items():
        assert probability(model, word, ()) == pytest.approx(expected)
    assert probability(model, "a", ("<s>",)) == pytest.approx(1 / 2 + 1 / 2 * single["a"])
    assert probability(model, "b", ("a",)) == pytest.approx(0.5 / 2 + 1 / 2 * single["a"])
    assert probability(model, "a", ("a",)) == pytest.approx(1 / 2 * single["a"])


@pytest.mark.parametrize("prune", [(0,), (0, 0, 1), (0, 1, 1), (0, 2, 5)])
@pytest.mark.parametrize("vocabulary_size", [None, 5])
def test_probabilities_sum_to_one(prune: tuple[int, ...], vocabulary_size: int | None) -> None:
    trained = train_ngram(random_sentences(7), 3, vocabulary_size=vocabulary_size, prune=prune)
    model = scored(trained)
    words = [*model.words(), "<unk>", "</s>"]
    for history in HISTORIES:
        total = sum(probability(model, word, history) for word in words)
        assert total == pytest.approx(1.0, abs=1e-9)


def test_pruning_drops_rare_ngrams_only() -> None:
    sentences = random_sentences(9)
    full = train_ngram(sentences, 3)
    pruned = train_ngram(sentences, 3, prune=(0, 1, 3))
    raw = Counter(
        tuple(framed[i : i + n])
        for framed in (["<s>", *s, "</s>"] for s in sentences)
        for n in (2, 3)
        for i in range(len(framed) - n + 1)
    )
    for n, threshold in ((2, 1), (3, 3)):
        names = pruned.tables.vocabulary
        kept = {tuple(names[w] for w in row) for row in pruned.tables.orders[n - 1].words.tolist()}
        assert kept == {g for g, count in raw.items() if len(g) == n and count > threshold}
    assert full.counts[0] == pruned.counts[0]
    assert full.discounts == pruned.discounts


def test_higher_orders_predict_patterned_text_better() -> None:
    training, held_out = random_sentences(1, 4000), random_sentences(2, 300)
    found = [
        scored(train_ngram(training, order)).perplexity(held_out).perplexity for order in (1, 2, 3)
    ]
    assert found[0] < 10  # 8 words, sentence end, unknown
    assert found[1] < 0.8 * found[0]
    assert found[2] < 1.05 * found[1]  # the text has no trigram structure to find


def test_limited_vocabulary_learns_how_often_words_are_unknown() -> None:
    sentences = [["a", "b"]] * 90 + [["a", f"rare{n}"] for n in range(10)]
    model = scored(train_ngram(sentences, 2, vocabulary_size=2))
    assert sorted(model.words()) == ["a", "b"]
    assert probability(model, "never", ("a",)) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_written_model_scores_alike(tmp_path: Path, name: str) -> None:
    trained = train_ngram(random_sentences(0), 3, prune=(0, 0, 1))
    trained.write_arpa(tmp_path / name)
    model, again = scored(trained), LanguageModel.read(tmp_path / name)
    assert again.counts == trained.counts
    for sentence in random_sentences(1, 50):
        assert again.log_probability(sentence) == pytest.approx(
            model.log_probability(sentence), abs=1e-4
        )


def test_training_is_deterministic(tmp_path: Path) -> None:
    for name in ("one.arpa.gz", "two.arpa.gz"):
        train_ngram(random_sentences(0), 3).write_arpa(tmp_path / name)
    assert (tmp_path / "one.arpa.gz").read_bytes() == (tmp_path / "two.arpa.gz").read_bytes()
    assert b"<s>" in gzip.decompress((tmp_path / "one.arpa.gz").read_bytes())


def test_discounts_of_known_counts_of_counts() -> None:
    counts = np.repeat([0, 1, 2, 3, 4, 9], [7, 100, 40, 20, 10, 5])
    y = 100 / 180
    assert estimate_discounts(counts) == pytest.approx(
        (1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 10 / 20)
    )


@pytest.mark.parametrize(
    "counts", [[], [1, 1, 2], [1, 2, 3], [2, 3, 4], [1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4]]
)
def test_degenerate_counts_of_counts_give_no_discounts(counts: list[int]) -> None:
    assert estimate_discounts(np.array(counts, np.int64)) is None


@pytest.mark.parametrize("order", [0, 11])
def test_impossible_orders_are_refused(order: int) -> None:
    with pytest.raises(ValueError, match="order must be"):
        train_ngram([["a"]], order)


@pytest.mark.parametrize("prune", [(1,), (0, 2, 1), (1, 1)])
def test_impossible_pruning_is_refused(prune: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="prune must"):
        train_ngram([["a"]], 3, prune=prune)
