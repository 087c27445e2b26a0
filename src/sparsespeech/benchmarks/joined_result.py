"""Several results of one benchmark as one, for a page or a picture of all their tables.

Parts of a long benchmark, such as the corpora of ``bench accuracy``, may be measured at different
times; each keeps its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.errors import BenchmarkError

_OF_MACHINE = ("threads",)  # settings that change how long it takes, not what is found


def join_results(results: Sequence[BenchResult]) -> BenchResult:
    """Rows and figures of all ``results`` in their order.

    A table of published figures comes once. Of the machines the processors are joined, everything
    else is what the first says. Raises
    BenchmarkError for results of different benchmarks or settings, and where two hold a figure of
    the same name or a table that is no corpus's.
    """
    first = results[0]
    joined = BenchResult(first.bench, dict(first.config), dict(first.machine))
    processors = dict.fromkeys(str(result.machine["processor"]) for result in results)
    joined.machine["processor"] = " and ".join(processors)
    for result in results:
        if result.bench != first.bench:
            raise BenchmarkError(
                f"results of bench {first.bench} and bench {result.bench} cannot be joined; give "
                f"those of one benchmark"
            )
        twice = sorted(joined.figures.keys() & result.figures.keys())
        if twice:
            raise BenchmarkError(
                f"two results hold the figure {twice[0]}; join results of different parts only"
            )
        joined.config = _joined_config(joined.config, result.config)
        joined.figures |= result.figures
        joined.rows += _new_rows(joined, result)
    return joined


def _new_rows(joined: BenchResult, result: BenchResult) -> list[Row]:
    """Rows of ``result`` that are not the same published figures as in ``joined``."""
    held = {row["table"] for row in joined.rows}
    rows = []
    for row in result.rows:
        published = row["table"].startswith("published")
        if row["table"] in held and not (published or "corpus" in row):
            raise BenchmarkError(
                f"two results hold the table {row['table']!r}; join results of different parts only"
            )
        if not (published and row in joined.rows):
            rows.append(row)
    return rows


def _joined_config(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Settings of both; raises BenchmarkError for one that differs and is no object."""
    config = one | other
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            config[key] = _joined_config(one[key], other[key])
        elif key in _OF_MACHINE:
            config[key] = one[key]
        elif one[key] != other[key]:
            raise BenchmarkError(
                f"measured with different settings: {key} is {one[key]} and {other[key]}; measure "
                f"again with one of them, or report each alone"
            )
    return config
