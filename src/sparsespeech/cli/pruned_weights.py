"""What ``prune`` left of each matrix: figures, and a table of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from sparsespeech.cli.tables import figures_table, print_line, table_console


def report_pruned(run: Path, *, as_json: bool) -> None:
    """Print what the newest checkpoint of ``run`` holds."""
    figures = _figures(run)
    if as_json:
        typer.echo(json.dumps(figures))
        return
    console = table_console()
    console.print(_table(figures["matrices"]))
    heard = figures["development_wer"]
    lines = [
        f"{figures['nonzeros']:,} weights left, {figures['sparsity']:.2%} of all matrices pruned",
        *([] if heard is None else [f"development set: {heard:.1f} % word error rate"]),
        f"checkpoint: {figures['checkpoint']}",
    ]
    for line in lines:
        print_line(console, line)


def _figures(run: Path) -> dict[str, Any]:
    """Nonzeros by matrix and together, and the last word error rate in the log, in per cent."""
    from sparsespeech.training.checkpoint import load_checkpoint
    from sparsespeech.training.log_file import read_log
    from sparsespeech.training.weight_matrices import weight_matrices

    pruned = load_checkpoint(run)
    matrices: list[dict[str, Any]] = []
    for name, weight in weight_matrices(pruned).items():
        rows, columns = weight.shape
        nonzeros = int(weight.count_nonzero())
        matrices.append(
            {
                "matrix": name,
                "rows": rows,
                "columns": columns,
                "nonzeros": nonzeros,
                "sparsity": 1.0 - nonzeros / (rows * columns),
            }
        )
    entries = sum(row["rows"] * row["columns"] for row in matrices)
    left = sum(row["nonzeros"] for row in matrices)
    log = run / "log.jsonl"
    entered = read_log(log) if log.is_file() else []
    rates = [entry["development_wer"] for entry in entered if "development_wer" in entry]
    return {
        "checkpoint": str(pruned.path),
        "step": pruned.step,
        "parameters": sum(weight.numel() for weight in pruned.weights.values()),
        "nonzeros": left,
        "sparsity": 1.0 - left / entries,
        "development_wer": rates[-1] if rates else None,
        "matrices": matrices,
    }


def _table(matrices: list[dict[str, Any]]) -> Table:
    table = figures_table("matrix", "shape", "nonzeros", "sparsity")
    for row in matrices:
        shape = f"{row['rows']}×{row['columns']}"
        table.add_row(row["matrix"], shape, f"{row['nonzeros']:,}", f"{row['sparsity']:.2%}")
    return table
