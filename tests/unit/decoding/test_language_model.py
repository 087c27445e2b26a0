"""Back-off scoring by hand and against KenLM; fitting to an alphabet."""

import math
from pathlib import Path

import pytest

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.errors import AlphabetMismatchError, LanguageModelError
from tests.random_sentences import random_sentences

TRIGRAM = """\
\\data\\
ngram 1=6
ngram 2=4
ngram 3=2

\\1-grams:
-2.0 <unk>
-99 <s> -0.5
-1.0 </s>
-0.5 a -0.25
-0.75 b -0.125
-1.25 c

\\2-grams:
-0.3 <s> a -0.0625
-0.4 a b -0.03125
-0.6 b </s>
-0.7 b c

\\3-grams:
-0.1 <s> a b
-0.2 a b c

\\end\\
"""


def read(folder: Path, content: str) -> LanguageModel:
    path = folder / "lm.arpa"
    path.write_text(content)
    return LanguageModel.read(path)


def log10_scores(model: LanguageModel, words: list[str]) -> list[float]:
    """Base-10 scores of the words and of the sentence end."""
    scores, state = [], model.initial_state
    for word in words:
        score, state = model.score(state, word)
        scores.append(score / math.log(10))
    return [*scores, model.score_end(state) / math.log(10)]


def test_back_off_by_hand(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM)
    assert (model.order, model.counts) == (3, (6, 4, 2))
    assert log10_scores(model, ["a", "b", "c"]) == pytest.approx(
        [-0.3, -0.1, -0.2, -1.0]  # c has no back-off weight, "b c" neither: 0 + 0 - 1.0
    )
    assert log10_scores(model, ["b", "a"]) == pytest.approx(
        [-0.5 - 0.75, -0.125 - 0.5, -0.25 - 1.0]
    )
    # "<s> a" backs off for "a", then "a" itself; an unknown word cuts the context.
    assert log10_scores(model, ["a", "a", "zebra", "b"]) == pytest.approx(
        [-0.3, -0.0625 - 0.25 - 0.5, -0.25 - 2.0, -0.75, -0.6]
    )


def test_a_missing_context_is_implied(tmp_path: Path) -> None:
    """SRILM prunes "a b" and keeps "a b c"; p(b|a) is then what backing off gives."""
    pruned = TRIGRAM.replace("ngram 2=4", "ngram 2=3").replace("-0.4 a b -0.03125\n", "")
    model = read(tmp_path, pruned)
    assert log10_scores(model, ["a", "b", "c"]) == pytest.approx([-0.3, -0.1, -0.2, -1.0])
    assert log10_scores(model, ["c", "a", "b", "c"])[2:4] == pytest.approx([-0.25 - 0.75, -0.2])


def test_states_are_hashable_and_forget_what_does_not_matter(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM)
    one = model.score(model.score(model.initial_state, "c")[1], "a")[1]
    other = model.score(model.score(model.initial_state, "zebra")[1], "a")[1]
    assert len({one, other}) == 1


@pytest.mark.parametrize("order", [2, 3, 5])  # KenLM reads no models of order 1
def test_agrees_with_kenlm(tmp_path: Path, order: int) -> None:
    decoder = pytest.importorskip("flashlight.lib.text.decoder.kenlm")
    dictionary = pytest.importorskip("flashlight.lib.text.dictionary").Dictionary()
    path = tmp_path / "lm.arpa"
    train_ngram(random_sentences(0), order, prune=(0, 0, 1)).write_arpa(path)
    for word in ["<unk>", *"abcdefgh"]:
        dictionary.add_entry(word)
    dictionary.set_default_index(dictionary.get_index("<unk>"))
    model = LanguageModel.read(path)
    kenlm = decoder.KenLM(str(path), dictionary)
    for sentence in [*random_sentences(1)[:200], ["a", "unheard", "b", "a"]]:
        state, scores = kenlm.start(False), []
        for word in sentence:
            state, score = kenlm.score(state, dictionary.get_index(word))
            scores.append(score)
        scores.append(kenlm.finish(state)[1])
        assert log10_scores(model, sentence) == pytest.approx(scores, abs=1e-5)


def test_unknown_words_without_usable_unk_are_as_rare_as_the_rarest(tmp_path: Path) -> None:
    absent = TRIGRAM.replace("ngram 1=6", "ngram 1=5").replace("-2.0 <unk>\n", "")
    for content in (absent, TRIGRAM.replace("-2.0 <unk>", "-100 <unk>")):
        model = read(tmp_path, content)
        assert log10_scores(model, ["zebra"])[0] == pytest.approx(-0.5 - 1.25)
    upper = read(tmp_path, TRIGRAM.replace("<unk>", "<UNK>"))
    assert log10_scores(upper, ["zebra"])[0] == pytest.approx(-0.5 - 2.0)


def test_special_words_are_not_words(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM)
    assert "a" in model
    assert "<s>" not in model
    assert "zebra" not in model
    assert sorted(model.words()) == ["a", "b", "c"]


def test_a_model_of_special_words_alone_is_refused(tmp_path: Path) -> None:
    content = "\\data\\\nngram 1=2\n\\1-grams:\n-1 <s>\n-1 </s>\n\\end\\\n"
    with pytest.raises(LanguageModelError, match="no words"):
        read(tmp_path, content)


def test_lower_case_keeps_the_likelier_of_merged_ngrams(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(TRIGRAM.replace("-1.25 c", "-1.25 A").replace(" c", " A"))
    model = LanguageModel.read(path, lower_case=True)
    assert sorted(model.words()) == ["a", "b"]
    assert model.unigram("a") == pytest.approx(-0.5 * math.log(10))
    assert log10_scores(model, ["b", "a"])[1] == pytest.approx(-0.7)  # was "b A"


def test_read_for_folds_upper_case_only_if_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(TRIGRAM.replace(" a", " A").replace(" b", " B").replace(" c", " C"))
    assert sorted(LanguageModel.read_for(path, Alphabet()).words()) == ["a", "b", "c"]
    upper = Alphabet(tuple(" ABC"))
    assert sorted(LanguageModel.read_for(path, upper).words()) == ["A", "B", "C"]


def test_wrong_alphabet_names_the_offending_characters(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(TRIGRAM.replace(" a", " ä").replace(" b", " ßß"))
    with pytest.raises(AlphabetMismatchError, match=r"2 of the language model's 3 words.*ß ä|ä ß"):
        LanguageModel.read_for(path, Alphabet())


def test_a_few_words_that_cannot_be_written_are_left_out(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM.replace(" c", " ç"))
    assert sorted(model.writable_words(Alphabet())) == ["a", "b"]


def test_perplexity_by_hand(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM)
    report = model.perplexity([["a", "zebra"], ["a"]])
    log10_total = (-0.3 - 0.0625 - 0.25 - 2.0 - 1.0) + (-0.3 - 0.0625 - 0.25 - 1.0)
    assert report.perplexity == pytest.approx(10 ** (-log10_total / 5))
    assert report.known_perplexity == pytest.approx(10 ** (-(log10_total + 2.3125) / 4))
    assert (report.words, report.unknown_words, report.sentences) == (3, 1, 2)
    with pytest.raises(ValueError, match="at least one sentence"):
        model.perplexity([])


def test_log_probability_is_the_sum_of_the_scores(tmp_path: Path) -> None:
    model = read(tmp_path, TRIGRAM)
    scores = log10_scores(model, ["a", "b"])
    assert model.log_probability(["a", "b"]) == pytest.approx(sum(scores) * math.log(10))
