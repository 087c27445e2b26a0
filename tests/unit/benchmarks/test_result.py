"""A result that was written is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sparsespeech.benchmarks import markdown, plots
from sparsespeech.benchmarks.result import BENCHES, BenchResult
from sparsespeech.errors import BenchmarkError


def test_every_bench_that_has_a_picture_or_a_page_is_known() -> None:
    assert {"accuracy", "long_stream", *plots._PICTURES, *markdown._TEXTS} == set(BENCHES)


def test_a_result_survives_json() -> None:
    result = BenchResult("density", {"threads": 1}, figures={"x": 0.5})
    result.add_rows("t", {"a": 1.25}, {"b": "words"})
    read = BenchResult.from_json(json.loads(json.dumps(result.to_json())))
    assert read == result


MACHINE = {"processor": "p", "cpu_flags": [], "load_average": 0.0}
GOOD = {"bench": "lstmp", "machine": MACHINE, "config": {}, "figures": {}, "rows": [{"table": "t"}]}


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {**GOOD, "rows": {}},
        {**GOOD, "rows": [{}]},
        {**GOOD, "rows": ["t"]},
        {**GOOD, "rows": [{"table": ["t"]}]},
        {**GOOD, "rows": []},
        {**GOOD, "bench": 3},
        {**GOOD, "bench": "x"},
        {**GOOD, "machine": {}},
        {**GOOD, "machine": {"processor": "p", "cpu_flags": []}},
        {key: value for key, value in GOOD.items() if key != "machine"},
    ],
)
def test_anything_else_is_refused(values: Any) -> None:
    BenchResult.from_json(GOOD)
    with pytest.raises(BenchmarkError, match="not the result of a benchmark"):
        BenchResult.from_json(values)
