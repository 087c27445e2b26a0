"""What every benchmark returns: figures by fixed names, and the rows behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sparsespeech.benchmarks.machine_facts import machine_facts
from sparsespeech.errors import BenchmarkError

_SIGNIFICANT_DIGITS = 6
Row = dict[str, Any]
BENCHES = (
    "latency", "throughput", "deepbench", "density", "lstmp", "training", "accuracy",
    "long_stream", "mapping", "latency-simulator", "throughput-simulator",
    "deepbench-simulator", "density-simulator",
)  # fmt: skip
# Facts about the machine that are shown over the tables and under the pictures.
_SHOWN_FACTS = ("processor", "cpu_flags", "load_average")


@dataclass
class BenchResult:
    """Grows while a benchmark runs. Each row says under "table" where it belongs."""

    bench: str
    config: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=machine_facts)
    figures: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add_rows(self, table: str, *rows: Row) -> None:
        """Append ``rows`` to ``table``."""
        self.rows += [{"table": table, **row} for row in rows]

    def table(self, name: str) -> list[Row]:
        """The rows of one table."""
        return [row for row in self.rows if row["table"] == name]

    def add_versions(self, versions: dict[str, str]) -> None:
        """Versions of libraries that a peer has loaded."""
        self.machine["versions"].update(versions)

    @classmethod
    def from_json(cls, values: Any) -> BenchResult:
        """What :meth:`to_json` gave; raises BenchmarkError for anything else."""
        kinds = {"bench": str, "config": dict, "machine": dict, "figures": dict, "rows": list}
        if not isinstance(values, dict) or not all(
            isinstance(values.get(key), kind) for key, kind in kinds.items()
        ):
            raise BenchmarkError(
                f"not the result of a benchmark: expected an object with {', '.join(kinds)}"
            )
        if values["bench"] not in BENCHES:
            raise BenchmarkError(
                f"not the result of a benchmark: there is no bench {values['bench']!r}; there are "
                f"{', '.join(BENCHES)}"
            )
        missing = [fact for fact in _SHOWN_FACTS if fact not in values["machine"]]
        if missing:
            raise BenchmarkError(
                f"not the result of a benchmark: machine does not say {', '.join(missing)}"
            )
        if not values["rows"]:
            raise BenchmarkError("not the result of a benchmark: it has no rows")
        if not all(
            isinstance(row, dict) and isinstance(row.get("table"), str) for row in values["rows"]
        ):
            raise BenchmarkError("not the result of a benchmark: a row does not name its table")
        return cls(**{key: values[key] for key in kinds})

    def to_json(self) -> dict[str, Any]:
        """One object: bench, machine, config, figures, rows."""
        return {
            "bench": self.bench,
            "machine": self.machine,
            "config": self.config,
            "figures": {name: rounded(value) for name, value in self.figures.items()},
            "rows": [{key: rounded(value) for key, value in row.items()} for row in self.rows],
        }


def rounded(value: Any) -> Any:
    """Floats to six significant digits, everything else as it is."""
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value
