"""Points of error rate against sparsity from every file that may hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sparsespeech.benchmarks.accuracy import AccuracyOptions, run_accuracy
from sparsespeech.benchmarks.accuracy_plan import parse_plan
from sparsespeech.benchmarks.accuracy_request import Recognised, Request
from sparsespeech.errors import ReportError
from sparsespeech.evaluation.word_error_rate import count_errors
from sparsespeech.report.run_course import read_course
from sparsespeech.report.sparsity_curve import (
    Point,
    course_curve,
    course_points,
    read_points,
    sparsity_curve,
)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def unknown(model: str) -> float | None:
    return None


def test_plain_points_are_sorted_by_series_and_sparsity(tmp_path: Path) -> None:
    points = [
        {"sparsity": 0.96, "wer": 12, "series": "b"},
        {"sparsity": 0.9, "wer": 11, "wer_low": 10, "wer_high": 12, "series": "b"},
        {"sparsity": 0.5, "wer": 20, "series": "a"},
    ]
    for content in ({"points": points}, points):
        assert read_points(write(tmp_path / "x.json", content), unknown) == [
            Point("a", 0.5, 20, None),
            Point("b", 0.9, 11, (10, 12)),
            Point("b", 0.96, 12, None),
        ]


def test_bench_accuracy_gives_medians_and_single_runs_as_one_series(tmp_path: Path) -> None:
    rows = [
        {"table": "an4", "seed": 0, "sparsity": 0.96, "wer": 99, "arithmetic": "int8"},
        {"table": "medians", "corpus": "an4", "decoder": "greedy", "arithmetic": "int8",
         "sparsity": 0.96, "wer": 10},
        {"table": "medians", "corpus": "an4", "decoder": "language model", "arithmetic": "int8",
         "sparsity": 0.96, "wer": 7},
        {"table": "an4, single runs", "run": "9054", "arithmetic": "int8", "sparsity": 0.9054,
         "wer": 9, "wer_low": 8, "wer_high": 11},
        {"table": "an4, language model, single runs", "run": "9054", "arithmetic": "int8",
         "sparsity": 0.9054, "wer": 6, "wer_low": 5, "wer_high": 8},
        {"table": "published", "sparsity": 0.96, "test_wer": 6.29},
    ]  # fmt: skip
    path = write(tmp_path / "x.json", {"bench": "accuracy", "rows": rows})
    assert read_points(path, unknown) == [
        Point("an4, int8", 0.9054, 9, (8, 11)),
        Point("an4, int8", 0.96, 10, None),
        Point("an4, language model, int8", 0.9054, 6, (5, 8)),
        Point("an4, language model, int8", 0.96, 7, None),
    ]


def recognise(request: Request) -> Recognised:
    """Of a checkpoint "96-12", 96 % sparse, 12 of 100 words are wrong; one more in int8."""
    sparsity, wrong = map(int, request.run.checkpoint.name.split("-"))
    wrong += request.arithmetic == "int8"
    errors = count_errors(" ".join("a" * 100), " ".join("x" * wrong + "a" * (100 - wrong)))
    nonzeros, size = 100 * (100 - sparsity), 7_000 if request.arithmetic == "int8" else None
    return Recognised(
        (errors,), ("s",), "sha", 10_100, nonzeros, sparsity / 100, size, kept=False,
        bytes_coded=nonzeros if request.coded else None,
    )  # fmt: skip


def test_sparse_networks_of_equal_nonzeros_are_a_curve(tmp_path: Path) -> None:
    curve = {
        "manifest": "dev",
        "dense_small": [{"checkpoint": "0-14"}, {"checkpoint": "0-11"}],
        "sparse_large": [{"checkpoint": "98-13"}, {"checkpoint": "80-9"}, {"checkpoint": "96-12"}],
    }
    pairs = [{"seed": 0, "dense": "0-10", "sparse": "96-12"}]
    corpora = {"an4": {"manifest": "m", "pairs": pairs, "single": {"9054": "90-11"}}}
    tried = {"manifest": "dev", "runs": [{"checkpoint": "50-20"}]}
    measured = {
        "an4, float": [(0.0, 10), (0.9, 11), (0.96, 12)],
        "an4, int8": [(0.0, 11), (0.9, 12), (0.96, 13)],
        "sparse large, int8": [(0.8, 10), (0.96, 13), (0.98, 14)],
    }
    # All that the bench makes, and the curve alone: without medians the tables are the same.
    for plan, series in (
        ({"corpora": corpora, "equal_nonzeros": curve, "tried": tried}, list(measured)),
        ({"equal_nonzeros": curve}, ["sparse large, int8"]),
    ):
        result = run_accuracy(AccuracyOptions(parse_plan(plan), recognise, {}))
        points = read_points(write(tmp_path / "x.json", result.to_json()), unknown)
        assert [(point.series, point.sparsity, point.wer) for point in points] == [
            (name, sparsity, wer) for name in series for sparsity, wer in measured[name]
        ]
        assert all(point.interval for point in points if point.series == "sparse large, int8")


def test_the_result_of_the_repository_gives_what_was_measured(repository: Path) -> None:
    path = repository / "benchmarks" / "results" / "bench-accuracy.json"
    rows = [row for row in json.loads(path.read_text())["rows"] if "source" not in row]
    wanted = [
        (row["sparsity"], row["wer"])
        for row in rows
        if row["table"] == "medians"
        or row["table"].endswith(", single runs")
        or row.get("family") == "sparse large"
    ]
    points = read_points(path, unknown)
    assert sorted((point.sparsity, point.wer) for point in points) == sorted(wanted)
    assert not any("published" in point.series for point in points)


def test_evaluations_get_the_sparsity_of_their_models(tmp_path: Path) -> None:
    models = [{"model": name, "wer": 8.5, "decoder": "greedy"} for name in ("here", "gone")]
    found = read_points(write(tmp_path / "x.json", {"models": models}), {"here": 0.75}.get)
    assert found == [Point("greedy", 0.75, 8.5, None)]


@pytest.mark.parametrize(
    "content",
    [
        3,
        {},
        {"points": {}},
        {"points": [1, "x"]},
        {"points": [{"sparsity": 1.0, "wer": 5}]},
        {"points": [{"sparsity": -0.1, "wer": 5}]},
        {"points": [{"sparsity": 0.5, "wer": -5}]},
        {"points": [{"sparsity": True, "wer": 5}]},
        {"points": [{"sparsity": float("nan"), "wer": 5}]},
        {"points": [{"model": 7, "wer": 5}]},
    ],
)
def test_file_without_points_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ReportError, match=r"x\.json: holds no point"):
        read_points(write(tmp_path / "x.json", content), unknown)


@pytest.mark.parametrize("text", ["no json", "[" * 100_000])
def test_unreadable_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ReportError, match=r"x\.json: cannot read"):
        read_points(tmp_path / "x.json", unknown)


def test_path_of_a_run_starts_with_its_last_dense_measurement(tmp_path: Path) -> None:
    rows = [
        {"step": 10, "development_wer": 90.0, "sparsity": 0.0},
        {"step": 20, "development_wer": 80.0, "sparsity": 0.0},
        {"step": 30, "development_wer": 85.0, "sparsity": 0.6},
        {"step": 40, "sparsity": 0.9},
        {"step": 50, "development_wer": 82.0},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    points = course_points(read_course(tmp_path))
    assert [(point.sparsity, point.wer) for point in points] == [(0, 80), (0.6, 85), (0.9, 82)]
    assert "The path of this run" in course_curve(points)


def test_dense_run_has_no_path(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "development_wer": 5, "sparsity": 0}\n')
    assert course_points(read_course(tmp_path)) == []


def test_caption_counts_networks_and_mentions_intervals() -> None:
    with_interval = [Point("a", 0.0, 5.0, (4.0, 6.0)), Point("b", 0.995, 6.0, None)]
    assert "2 measured networks. Bars" in sparsity_curve(with_interval)
    assert "Bars" not in sparsity_curve([Point("", 0.5, 0.0, None)])
