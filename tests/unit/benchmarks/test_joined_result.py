"""Results of one benchmark that were measured apart, shown as one."""

from __future__ import annotations

from typing import Any

import pytest

from sparsespeech.benchmarks.joined_result import join_results
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.errors import BenchmarkError


def result(name: str, wer: float, bench: str = "accuracy", **config: Any) -> BenchResult:
    corpora = {"corpora": {name: {"manifest": f"{name}.jsonl"}}}
    made = BenchResult(bench, {**corpora, "drawn": "utterances", **config}, {"processor": name})
    made.figures[f"{name}_wer"] = wer
    made.add_rows("medians", {"corpus": name, "wer": wer})
    made.add_rows("published", {"weights": "dense", "test_wer": 6.06})
    return made


def tried(wer: float) -> BenchResult:
    made = BenchResult("accuracy", {"drawn": "utterances"}, {"processor": "p"})
    made.add_rows("tried", {"label": "dense", "wer": wer})
    return made


def test_rows_and_figures_of_all_in_order() -> None:
    joined = join_results([result("an4", 7.0), result("librispeech", 70.0)])
    assert joined.figures == {"an4_wer": 7.0, "librispeech_wer": 70.0}
    assert [row["corpus"] for row in joined.table("medians")] == ["an4", "librispeech"]
    assert len(joined.table("published")) == 1  # the same row in both
    assert list(joined.config["corpora"]) == ["an4", "librispeech"]
    assert joined.machine == {"processor": "an4 and librispeech"}


def test_one_result_stays_as_it_is() -> None:
    only = result("an4", 7.0)
    assert join_results([only]).to_json() == only.to_json()


def test_results_are_not_changed() -> None:
    first, second = result("an4", 7.0), result("librispeech", 70.0)
    before = first.to_json()
    join_results([first, second])
    assert first.to_json() == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (result("an4", 8.0), "two results hold the figure an4_wer"),
        (result("b", 8.0, bench="latency"), "bench accuracy and bench latency"),
        (result("b", 8.0, drawn="speakers"), "drawn is utterances and speakers"),
        (tried(8.0), "two results hold the table 'tried'"),
    ],
)
def test_what_cannot_be_joined(other: BenchResult, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        join_results([result("an4", 7.0), tried(7.5), other])
