"""Figures and tables of several models on the same utterances."""

import pytest

from sparsespeech.evaluation.bootstrap import paired_difference, rate_interval
from sparsespeech.evaluation.comparison import Comparison, ModelErrors, text_table
from sparsespeech.evaluation.word_error_rate import count_errors

REFERENCES = ["a b c d", "e f", "g h i", "j"]
SPEAKERS = ["ann", "bob", "ann", ""]
NAMES = [f"{number}.wav" for number in range(4)]


def errors(model: str, hypotheses: list[str]) -> ModelErrors:
    utterances = tuple(map(count_errors, REFERENCES, hypotheses))
    return ModelErrors(model, utterances, audio_s=8.0, recognition_s=2.0)


DENSE = errors("dense", ["a b c d", "e x", "g h i", "j"])
SPARSE = errors("sparse", ["a b d", "x y z", "g h i", "j"])


def test_figures() -> None:
    figures = Comparison([DENSE, SPARSE], SPEAKERS, NAMES).figures(SPARSE)
    assert figures["utterances"] == 4
    assert figures["wer"] == pytest.approx(40.0)
    assert (figures["wer_low"], figures["wer_high"]) == rate_interval([1, 3, 0, 0], [4, 2, 3, 1])
    assert figures["cer"] == pytest.approx(100 * (2 + 4) / (7 + 3 + 5 + 1))
    counts = [figures[name] for name in ("words", "substitutions", "deletions", "insertions")]
    assert counts == [10, 2, 1, 1]
    assert figures["realtime_factor"] == 0.25
    expected = paired_difference([1, 3, 0, 0], [0, 1, 0, 0], [4, 2, 3, 1])
    assert tuple(figures["difference"].values()) == expected
    assert "difference" not in Comparison([DENSE, SPARSE], SPEAKERS, NAMES).figures(DENSE)


def test_speakers_as_units_of_the_intervals() -> None:
    figures = Comparison([SPARSE], SPEAKERS, NAMES, by_speaker=True).figures(SPARSE)
    interval = rate_interval([1, 3, 0, 0], [4, 2, 3, 1], speakers=SPEAKERS)
    assert (figures["wer_low"], figures["wer_high"]) == interval


def test_summary_has_a_line_a_model() -> None:
    lines = Comparison([DENSE, SPARSE], SPEAKERS, NAMES).summary().splitlines()
    assert lines[0].split()[0] == "model"
    assert lines[2].startswith("dense") and " 10.0 [" in lines[2]
    assert lines[3].startswith("sparse") and " 40.0 [" in lines[3] and "+30.0 [" in lines[3]
    assert "against" not in Comparison([DENSE], SPEAKERS, NAMES).summary()


def test_speaker_table_begins_with_the_hardest() -> None:
    lines = Comparison([DENSE, SPARSE], SPEAKERS, NAMES).speaker_table().splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["bob", "1", "2", "50.0", "150.0"],
        ["ann", "2", "7", "0.0", "14.3"],
        ["(unknown)", "1", "1", "0.0", "0.0"],
    ]


def test_worst_utterances_come_first_and_right_ones_not_at_all() -> None:
    comparison = Comparison([DENSE, SPARSE], SPEAKERS, NAMES)
    blocks = comparison.worst_utterances().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["1.wav", "0.wav"]
    assert "sparse: 3 errors in 2 words" in blocks[0]
    assert "HYP: x y z" in blocks[0] and "REF: a b c d" in blocks[1]
    assert comparison.worst_utterances(1).splitlines()[0] == "1.wav"
    assert "0.wav" not in comparison.worst_utterances(1)


def test_table_columns_are_aligned() -> None:
    assert text_table(["name", "n"], [["a", "100"], ["long name", "1"]]).splitlines() == [
        "name         n",
        "---------  ---",
        "a          100",
        "long name    1",
    ]
