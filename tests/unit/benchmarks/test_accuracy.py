"""Table III from hypotheses that are made up, so every figure is known beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.stats

from sparsespeech.benchmarks.accuracy import AccuracyOptions, run_accuracy
from sparsespeech.benchmarks.accuracy_differences import BY_SEED, MEANS
from sparsespeech.benchmarks.accuracy_markdown import accuracy_markdown
from sparsespeech.benchmarks.accuracy_plan import parse_plan
from sparsespeech.benchmarks.accuracy_request import Recognised, Request
from sparsespeech.benchmarks.plots import draw
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.errors import BenchmarkError
from sparsespeech.evaluation.word_error_rate import count_errors

UTTERANCES = 10  # of ten words each: one wrong word is one per cent
TEXT = "a b c d e f g h i j"
# Wrong words of each model, dense and sparse of seeds 0 to 2; int8 adds the second number.
WRONG = {"d0": (10, 1), "d1": (12, 0), "d2": (11, 2), "s0": (11, 2), "s1": (12, 3), "s2": (15, 0)}
SIZES = {"small": 5_000, "large": 9_000, "d0": 20_000}
PAIRS = [{"dense": f"d{n}", "sparse": f"s{n}"} for n in range(3)]


class Recogniser:
    """Answers with the wrong words of ``WRONG``, spread over the utterances; notes requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Recognised:
        self.requests.append(request)
        name = request.run.checkpoint.name
        exact, more = WRONG.get(name, (20, 0))
        wrong = exact + (more if request.arithmetic == "int8" else 0) - 5 * request.with_lm
        counts = [wrong // UTTERANCES + (n < wrong % UTTERANCES) for n in range(UTTERANCES)]
        texts = [" ".join(["x"] * count + TEXT.split()[count:]) for count in counts]
        sparsity = 0.96 if name.startswith(("s", "large")) else 0.0
        return Recognised(
            tuple(count_errors(TEXT, text) for text in texts),
            tuple(f"speaker{n % 2}" for n in range(UTTERANCES)),
            f"sha-{name}", 10_000, round(9_900 * (1 - sparsity)), sparsity,
            SIZES.get(name, 7_000) if request.arithmetic == "int8" else None, kept=False,
            bytes_coded=SIZES.get(name, 7_000) // 2 if request.coded else None,
        )  # fmt: skip


def measure(plan: object, *, by_speaker: bool = False) -> tuple[BenchResult, Recogniser]:
    recogniser = Recogniser()
    options = AccuracyOptions(parse_plan(plan), recogniser, {"threads": 1}, by_speaker)
    return run_accuracy(options), recogniser


def corpus(**changes: object) -> dict[str, object]:
    return {"corpora": {"an4": {"manifest": "m", "pairs": PAIRS, **changes}}}


def test_the_four_rows_and_the_paired_mean() -> None:
    result, recogniser = measure(corpus())
    figures = result.figures
    assert figures["an4_dense_float_wer"] == pytest.approx(11.0)
    assert figures["an4_dense_int8_wer"] == pytest.approx(12.0)
    assert figures["an4_sparse_float_wer"] == pytest.approx(12.0)
    assert figures["an4_sparse_int8_wer"] == pytest.approx(15.0)
    assert figures["an4_sparsity"] == 0.96
    # Sparse int8 less dense float: 13 - 10, 15 - 12, 15 - 11.
    assert figures["an4_drop"] == pytest.approx(10 / 3)
    assert figures["an4_drop_low"] < 10 / 3 < figures["an4_drop_high"]
    # A replaced letter is one of the 19 characters of ten letters and nine spaces.
    assert figures["an4_sparse_int8_cer"] == pytest.approx(15 * 10 / 19)
    assert figures["an4_cer_drop"] == pytest.approx(100 * (10 / 3) / 190)
    assert len(recogniser.requests) == 12
    drops = {
        compared: [row["difference"] for row in result.table(BY_SEED)
                   if (row["rate"], row["compared"]) == ("wer", compared)]
        for compared in ("sparse int8", "sparse float", "dense int8")
    }  # fmt: skip
    assert drops["sparse int8"] == pytest.approx([3.0, 3.0, 4.0])
    assert drops["sparse float"] == pytest.approx([1.0, 0.0, 4.0])
    assert drops["dense int8"] == pytest.approx([1.0, 0.0, 2.0])
    medians = {(row["weights"], row["arithmetic"]): row for row in result.table("medians")}
    assert medians["sparse", "int8"]["lowest_wer"] == pytest.approx(13.0)
    assert medians["dense", "float"]["highest_wer"] == pytest.approx(12.0)
    stored = [row.get("bytes_stored") for row in result.table("an4")]
    assert [size is None for size in stored] == [True, False] * 6
    assert not any(request.with_lm for request in recogniser.requests)


def test_the_mean_has_the_t_that_scipy_has() -> None:
    result, _ = measure(corpus())
    # Of 10 % + 3, 3, 4 points; dense words are the paired half of the test.
    expected = scipy.stats.ttest_rel([13.0, 15.0, 15.0], [10.0, 12.0, 11.0])
    interval = expected.confidence_interval(0.95)
    assert result.figures["an4_drop_t"] == pytest.approx(expected.statistic)
    assert result.figures["an4_drop_p"] == pytest.approx(expected.pvalue)
    assert result.figures["an4_drop_t_low"] == pytest.approx(interval.low)
    assert result.figures["an4_drop_t_high"] == pytest.approx(interval.high)
    one, _ = measure(corpus(pairs=PAIRS[:1]))
    assert "an4_drop_t" not in one.figures
    assert one.figures["an4_drop"] == pytest.approx(3.0)
    for row in one.table(MEANS):
        assert "t" not in row


def test_a_language_model_adds_figures_of_its_own() -> None:
    result, recogniser = measure(corpus(lm="x.arpa"))
    assert result.figures["an4_sparse_int8_wer"] == pytest.approx(15.0)
    assert result.figures["an4_sparse_int8_wer_lm"] == pytest.approx(10.0)
    for name in ("an4_drop_lm", "an4_drop_low_lm", "an4_drop_high_lm"):
        assert name in result.figures
    assert sum(request.with_lm for request in recogniser.requests) == 12


def test_single_runs_name_the_figures_of_the_posters() -> None:
    result, _ = measure(corpus(pairs=[], single={"9054": "s0", "density10": "s2"}))
    assert result.figures == {
        "an4_wer_9054_float": pytest.approx(11.0), "an4_cer_9054_float": pytest.approx(110 / 19),
        "an4_wer_9054": pytest.approx(13.0), "an4_cer_9054": pytest.approx(130 / 19),
        "an4_wer_density10_float": pytest.approx(15.0),
        "an4_cer_density10_float": pytest.approx(150 / 19),
        "an4_wer_density10": pytest.approx(15.0), "an4_cer_density10": pytest.approx(150 / 19),
    }  # fmt: skip
    assert result.table("published") == []
    published = {(row["run"], row["source"]) for row in result.table("published, single runs")}
    assert published == {("9054", "S3"), ("density10", "S4")}
    assert all("difference" not in row for row in result.table("an4, single runs"))


def test_a_single_run_is_compared_with_the_first_dense_network() -> None:
    result, _ = measure(corpus(single={"9054": "s2", "mine": "s0"}))
    rows = result.table("an4, single runs")
    assert [row["difference"] for row in rows] == pytest.approx([5.0, 5.0, 1.0, 3.0])
    assert rows[0]["low"] < 5.0 < rows[0]["high"]
    assert [row["dense_wer"] for row in rows] == pytest.approx([10.0] * 4)
    assert {row["run"] for row in result.table("published, single runs")} == {"9054"}


def test_speakers_drawn_whole_change_the_interval_only() -> None:
    by_utterance, by_speaker = measure(corpus())[0], measure(corpus(), by_speaker=True)[0]
    assert by_speaker.figures["an4_drop"] == by_utterance.figures["an4_drop"]
    assert by_speaker.figures["an4_drop_low"] != by_utterance.figures["an4_drop_low"]


PLAN = {
    **corpus(),
    "equal_nonzeros": {
        "manifest": "dev",
        "dense_small": [{"checkpoint": "d0"}, {"checkpoint": "small"}],
        "sparse_large": [{"checkpoint": "large", "label": "384"}],
    },
    "tried": {"manifest": "dev", "runs": [{"checkpoint": "s1", "label": "long", "note": "2x"}]},
}


def test_the_curve_counts_huffman_coded_bytes() -> None:
    result, recogniser = measure(PLAN)
    rows = result.table("equal nonzeros")
    assert [(row["family"], row["bytes_coded"]) for row in rows] == [
        ("dense small", 2_500), ("dense small", 10_000), ("sparse large", 4_500),
    ]  # fmt: skip
    curve = [r for r in recogniser.requests if r.test.manifest == Path("dev")]
    assert [request.arithmetic for request in curve] == ["int8"] * 3 + ["float"]
    (tried,) = result.table("tried")
    assert (tried["label"], tried["note"], tried["wer"]) == ("long", "2x", pytest.approx(12.0))
    assert "difference" not in tried
    two = [*PLAN["tried"]["runs"], {"checkpoint": "s2"}]
    both, _ = measure({**PLAN, "tried": {"manifest": "dev", "runs": two}})
    assert both.table("tried")[1]["difference"] == pytest.approx(3.0)


def test_no_corpus_takes_the_name_of_another_table() -> None:
    result, _ = measure({**PLAN, **corpus(single={"9054": "s0"})})
    others = {row["table"] for row in result.rows if row["table"].isidentifier()} - {"an4"}
    assert others == {"medians", "published", "tried"}
    for name in others:
        with pytest.raises(BenchmarkError, match=f"corpora.{name}: the result has a table"):
            parse_plan({"corpora": {name: {"manifest": "m", "pairs": PAIRS}}})


SINGLE = corpus(pairs=[], single={"9054": "s0"})


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (PLAN, ("dense small", "384", "15.00", "96.0% sparse, float")),
        (corpus(lm="x.arpa"), ("an4, LM", "an4, LM: sparse int8", "+3.33", "S2, Table III")),
        (corpus(pairs=PAIRS[:1]), ("13.00", "an4: dense int8")),
        (SINGLE, ("an4: 9054, int8",)),
        (
            {"corpora": {n: {"manifest": n, "pairs": PAIRS[:1]} for n in "abc"}},
            ("13.00", "c: sparse"),
        ),
    ],
)
def test_the_picture(plan: object, expected: tuple[str, ...], tmp_path: Path) -> None:
    result, _ = measure(plan)
    draw(result, tmp_path / "accuracy.svg")
    text = (tmp_path / "accuracy.svg").read_text()
    for words in expected:
        assert words in text


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_markdown_of_table_iii() -> None:
    result, _ = measure(corpus(single={"9054": "s1", "density10": "s2"}))
    text = accuracy_markdown(result)
    rows = table_rows(text)
    assert ["96.0% sparse", "int8", "15.00 [13.00, 15.00]", "7.89", "396", "0.007 MB", "6.29"] in [
        row[:7] for row in rows
    ]
    (mean,) = (row for row in rows if row[0] == "sparse int8")
    figures = result.figures
    assert mean[1] == (f"+3.33 [{figures['an4_drop_low']:+.2f}, {figures['an4_drop_high']:+.2f}]")
    assert mean[2] == f"{figures['an4_drop_t']:.2f} (p {figures['an4_drop_p']:.2g})"
    assert mean[5] == "+0.23"
    single = {(row[0], row[1]): row[7] for row in rows if row[0] in ("9054", "density10")}
    assert single == {
        ("9054", "float"): "S3: 5.39 (+0.27)", ("9054", "int8"): "",
        ("density10", "float"): "S4: 12.22 (-0.68)", ("density10", "int8"): "S4: 11.96 (-0.94)",
    }  # fmt: skip
    assert "median of 3 seeds" in text


def test_the_markdown_of_one_seed_a_curve_and_what_was_tried() -> None:
    result, _ = measure({**PLAN, **corpus(pairs=PAIRS[:1])})
    text = accuracy_markdown(result)
    rows = table_rows(text)
    assert "one seed:" in text
    assert ["less dense float", "WER, points", "CER, points", "S2, WER"] in rows
    assert ["sparse large", "384", "396", "0.0045 MB"] in [row[:4] for row in rows]
    assert ["long", "2x", "96.0%"] in [row[:3] for row in rows]
