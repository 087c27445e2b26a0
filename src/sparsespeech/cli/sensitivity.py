"""``sparsespeech sensitivity CHECKPOINT``: which matrices bear pruning, and how much each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sparsespeech.cli.option_types import AsJson, CheckpointArgument, SplitOption
from sparsespeech.cli.progress_bar import progress_bar
from sparsespeech.cli.sparsity_options import (
    LARGEST_SPARSITY,
    StructureOption,
    check_structure,
    parse_matrix_sparsities,
    parse_sparsities,
)
from sparsespeech.cli.tables import figures_table, print_line, table_console
from sparsespeech.training.run_folder import run_folder

if TYPE_CHECKING:
    from sparsespeech.corpora.manifest import Utterance
    from sparsespeech.pruning.allocation import Limits
    from sparsespeech.pruning.sensitivity_file import Scan
    from sparsespeech.training.checkpoint import Checkpoint

SPARSITIES = "0.5,0.7,0.8,0.9,0.95,0.98"
ManifestOption = Annotated[
    Path | None,
    typer.Option(help="Utterances to measure on; default: the recipe's development set."),
]
UtterancesOption = Annotated[int, typer.Option(min=1, help="How many utterances to measure on.")]
SeedOption = Annotated[int, typer.Option(help="Chooses these utterances.")]
SparsitiesOption = Annotated[
    str, typer.Option(metavar="S,S,...", help="Sparsities to measure each matrix at.")
]
TargetOption = Annotated[
    float,
    typer.Option(
        min=0.0, max=LARGEST_SPARSITY, help="Total sparsity that the suggestions come to."
    ),
]
SmallestOption = Annotated[
    float,
    typer.Option(min=0.0, max=LARGEST_SPARSITY, help="Suggest no less than this to any matrix."),
]
LargestOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=LARGEST_SPARSITY,
        help="Suggest no more than this to any matrix; default: the largest one measured.",
    ),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGEX=S",
        help="Suggest no more than S to the matrices whose name matches; 0 leaves them dense; of "
        "several the last counts. Repeatable; before yours: 0.85 for layer1, 0 for the output "
        "layer.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(help="Folder of sensitivity.json and its picture; default RUN/sensitivity."),
]


def run(
    checkpoint: CheckpointArgument,
    manifest: ManifestOption = None,
    split: SplitOption = None,
    utterances: UtterancesOption = 64,
    seed: SeedOption = 0,
    sparsities: SparsitiesOption = SPARSITIES,
    structure: StructureOption = "unstructured",
    target: TargetOption = 0.96,
    smallest: SmallestOption = 0.0,
    largest: LargestOption = None,
    limit: LimitOption = None,
    output: OutputOption = None,
    as_json: AsJson = False,
) -> None:
    """Prune one matrix at a time, measure the loss, and suggest a sparsity for each.

    The suggestion lets every matrix raise the loss equally and meets the total; 'prune --from'
    takes it. A scan that was stopped goes on by the same command; another target measures nothing
    anew. --json prints sensitivity.json.
    """
    from sparsespeech.pruning.scan_suggestion import ScanSettings, suggest_sparsities
    from sparsespeech.report.sensitivity_plot import draw_sensitivity
    from sparsespeech.training.checkpoint import load_checkpoint

    wanted = sorted(set(parse_sparsities(sparsities, "--sparsities")))
    pattern = check_structure(structure or "unstructured")
    source = load_checkpoint(checkpoint)
    most = wanted[-1] if largest is None else largest
    limits = _limits(source, smallest, most, limit or [], pattern)
    speech = _utterances(source, manifest, split)
    folder = output or _default_folder(source.path)
    file = folder / "sensitivity.json"
    settings = ScanSettings(utterances, seed, wanted, pattern)
    with progress_bar(transient=True) as progress:
        scan = suggest_sparsities(source, speech, settings, target, limits, file, progress)
    draw_sensitivity(scan.to_json(), folder / "sensitivity.png")
    if as_json:
        typer.echo(json.dumps(scan.to_json()))
        return
    console = table_console()
    console.print(_table(scan))
    for line in _summary(scan, file):
        print_line(console, line)


def _limits(
    source: Checkpoint, smallest: float, largest: float, texts: list[str], structure: str
) -> dict[str, Limits]:
    """Limits of every weight matrix: the options over the defaults."""
    from sparsespeech.pruning.allocation import Limits
    from sparsespeech.pruning.matrix_limits import default_largest, matrix_limits
    from sparsespeech.pruning.structure_settings import parse_structure
    from sparsespeech.training.weight_matrices import matrix_shapes

    own = parse_matrix_sparsities(texts, "--limit")
    if smallest > largest:
        raise typer.BadParameter(
            f"{smallest} is above the largest sparsity {largest}", param_hint="--smallest"
        )
    shapes = matrix_shapes(source)
    defaults = default_largest(source.graph)
    most = {expression: value for expression, value in defaults.items() if expression not in own}
    structures = dict.fromkeys(shapes, parse_structure(structure))
    return matrix_limits(shapes, Limits(smallest, largest), {**most, **own}, structures)


def _utterances(source: Checkpoint, manifest: Path | None, split: str | None) -> list[Utterance]:
    """The manifest given, or the development set that the checkpoint's recipe names."""
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.errors import RecipeError
    from sparsespeech.training.recipe import expand_path

    if manifest is not None:
        return read_manifest(manifest, split=split)
    try:
        development = source.facts["recipe"]["data"]["development"]
        path = str(development["manifest"])
    except (KeyError, TypeError):
        raise RecipeError(
            f"{source.path}: its recipe names no development set; give --manifest"
        ) from None
    return read_manifest(expand_path(path), split=split or development.get("split"))


def _default_folder(checkpoint: Path) -> Path:
    """``sensitivity`` in the run that ``checkpoint`` belongs to, or beside it."""
    return (run_folder(checkpoint) or checkpoint.parent) / "sensitivity"


def _table(scan: Scan) -> Table:
    """One row a matrix: size, increase of the loss at each sparsity, suggested sparsity."""
    sparsities = sorted({sparsity for matrix in scan.matrices for sparsity in matrix.points})
    points = [f"at {s:.1%}".replace(".0%", " %") for s in sparsities]
    table = figures_table("matrix", "weights", *points, "suggested")
    for matrix in scan.matrices:
        rises = (matrix.points.get(sparsity) for sparsity in sparsities)
        suggested = scan.suggested.matrices[matrix.name] if scan.suggested else 0.0
        table.add_row(
            matrix.name,
            f"{matrix.parameters:,}",
            *("-" if loss is None else f"{loss - scan.loss_dense:+.3f}" for loss in rises),
            f"{suggested:.1%}" if suggested else "dense",
        )
    return table


def _summary(scan: Scan, file: Path) -> list[str]:
    lines = [
        f"loss of the checkpoint as it is: {scan.loss_dense:.4f} nats a character on "
        f"{scan.utterances} utterances; the columns show what is added"
    ]
    if scan.suggested is not None:
        lines.append(
            f"suggested: {scan.suggested.total:.2%} in total, each matrix adding at most "
            f"{scan.suggested.loss_increase:.3f}"
        )
    return [*lines, f"written: {file} and {file.with_suffix('.png').name}"]
