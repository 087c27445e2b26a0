"""``sparsespeech quantize --compare``: checkpoints in float, int8, 12 and 16 bit side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from sparsespeech.cli.progress_bar import progress_bar
from sparsespeech.cli.quantization_report import decibel_text
from sparsespeech.cli.tables import figures_table, table_console
from sparsespeech.evaluation.bootstrap import paired_difference
from sparsespeech.training.run_folder import run_folder

if TYPE_CHECKING:
    from sparsespeech.quantization.choices import CheckpointFigures, ChoiceFigures


def compare_checkpoints(
    checkpoints: Sequence[Path],
    manifest: Path,
    split: str | None,
    measure_on: Path,
    limit: int | None,
    utterances: int | None,
    seed: int,
    *,
    recalibrate: bool,
    as_json: bool,
) -> None:
    """Print a line for each form of each checkpoint, then the noise layer by layer.

    Calibration uses ``manifest``, the figures ``measure_on`` (its ``split`` if both are one file).
    Raises CheckpointError, ConversionError, ManifestError or AudioError.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.quantization.choices import compare_choices
    from sparsespeech.quantization.recipe_defaults import calibration_count
    from sparsespeech.training.checkpoint import load_checkpoint

    sources = [load_checkpoint(path) for path in checkpoints]
    calibration = read_manifest(manifest, split=split)
    measured = read_manifest(measure_on, split=split if measure_on == manifest else None)[:limit]
    with progress_bar() as progress:
        results = [
            compare_choices(
                source,
                calibration,
                measured,
                count=calibration_count(source, utterances),
                seed=seed,
                progress=progress,
                recalibrate=recalibrate,
            )
            for source in sources
        ]
    rows = _rows(results)
    if as_json:
        facts = {"manifest": str(measure_on), "utterances": len(measured), "seed": seed}
        typer.echo(json.dumps({**facts, "choices": rows}))
        return
    console = table_console()
    console.print(_choice_table(rows))
    for table in _layer_tables(rows):
        console.print(table)
    differing = sum(row["logits_differing_from_reference"] or 0 for row in rows)
    console.print(
        f"{len(measured)} utterances of {measure_on}; differences with 95 % intervals are from the "
        f"first line; {differing} logits differ between fake-quantize and the reference on the "
        "first utterances",
        markup=False,
    )


def _rows(results: Sequence[CheckpointFigures]) -> list[dict[str, Any]]:
    """One dictionary a line of the table; rates in per cent, ratios in dB."""
    first = results[0].choices[0]
    return [
        {
            "checkpoint": str(result.checkpoint.path),
            "ranges": result.calibration.source,
            **_figures(choice, first),
        }
        for result in results
        for choice in result.choices
    ]


def _figures(choice: ChoiceFigures, first: ChoiceFigures) -> dict[str, Any]:
    fidelity = choice.fidelity
    difference = None
    if choice is not first:
        difference = paired_difference(
            [utterance.word_errors for utterance in choice.errors],
            [utterance.word_errors for utterance in first.errors],
            [utterance.words for utterance in first.errors],
        )
    return {
        "choice": choice.choice,
        "wer": choice.word_error_rate,
        "cer": choice.character_error_rate,
        "difference": difference and dict(zip(("wer", "low", "high"), difference, strict=True)),
        "bytes": choice.bytes_stored,
        "rounded_to_zero": choice.weights_rounded_to_zero,
        "frames": fidelity and fidelity.frames,
        "argmax_changed": fidelity and fidelity.argmax_changed,
        "logits_differing_from_reference": fidelity and fidelity.differing_logits,
        "sqnr_db": fidelity and fidelity.sqnr_db,
    }


def _choice_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = figures_table(
        "choice", "WER %", "difference", "CER %", "label changed", "logits", "bytes"
    )
    for row in rows:
        changed, ratios = row["argmax_changed"], row["sqnr_db"]
        table.add_row(
            _name(row, rows),
            f"{row['wer']:.2f}",
            _difference(row["difference"]),
            f"{row['cer']:.2f}",
            "-" if changed is None else f"{changed:.2%}",
            "-" if ratios is None else decibel_text(list(ratios.values())[-1]),
            f"{row['bytes']:,}",
        )
    return table


def _layer_tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Signal to noise of every layer: one table a checkpoint, one column a choice."""
    tables = []
    for checkpoint in dict.fromkeys(row["checkpoint"] for row in rows):
        integer = [row for row in rows if row["checkpoint"] == checkpoint and row["sqnr_db"]]
        several = integer[0] if _several(rows) else None
        heading = f"{_run_name(several)}: signal to noise" if several else "signal to noise"
        table = figures_table(heading, *(row["choice"] for row in integer))
        for layer in integer[0]["sqnr_db"]:
            table.add_row(layer, *(decibel_text(row["sqnr_db"][layer]) for row in integer))
        tables.append(table)
    return tables


def _name(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The choice, with the run of the checkpoint if there are several."""
    return f"{_run_name(row)} {row['choice']}" if _several(rows) else str(row["choice"])


def _several(rows: Sequence[dict[str, Any]]) -> bool:
    return len({row["checkpoint"] for row in rows}) > 1


def _run_name(row: dict[str, Any]) -> str:
    path = Path(row["checkpoint"])
    return (run_folder(path) or path).name


def _difference(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "-"
    return f"{figures['wer']:+.2f} [{figures['low']:+.2f}, {figures['high']:+.2f}]"
