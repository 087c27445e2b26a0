"""``sparsespeech sensitivity CHECKPOINT``: which matrices bear pruning, and how much each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from sparsespeech.corpora.manifest import Utterance
    from sparsespeech.pruning.allocation import Limits
    from sparsespeech.pruning.sensitivity_file import Scan
    from sparsespeech.training.checkpoint import Checkpoint

SPARSITIES = "0.5,0.7,0.8,0.9,0.95,0.98"
FIRST_LAYER_LIMIT = "^layer1\\.=0.85"
_FILE_WIDTH = 120  # characters, where the output is no terminal


def run(
    checkpoint: Annotated[
        Path, typer.Argument(help="Run folder of 'sparsespeech train', or one of its checkpoints.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="Utterances to measure on; default: the recipe's development set."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only the utterances of this split of the manifest.")
    ] = None,
    utterances: Annotated[int, typer.Option(min=1, help="Utterances of the sample.")] = 64,
    seed: Annotated[int, typer.Option(help="Chooses the sample.")] = 0,
    sparsities: Annotated[
        str, typer.Option(metavar="S,S,...", help="Sparsities to measure each matrix at.")
    ] = SPARSITIES,
    structure: Annotated[
        str,
        typer.Option(
            help="Pattern to prune in: unstructured, bank:64, row-cap:64/1024, 2:4 or block:4x16."
        ),
    ] = "unstructured",
    target: Annotated[
        float, typer.Option(help="Total sparsity to suggest sparsities for.", min=0.0, max=1.0)
    ] = 0.96,
    smallest: Annotated[
        float, typer.Option(help="Smallest sparsity of a matrix.", min=0.0, max=1.0)
    ] = 0.0,
    largest: Annotated[
        float | None,
        typer.Option(help="Largest sparsity of a matrix; default: the largest one measured."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGEX=S",
            help="Largest sparsity of the matrices that match; 0 leaves them dense. Repeatable; "
            f"given before yours: {FIRST_LAYER_LIMIT} and 0 for the output layer.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of sensitivity.json and its picture; default RUN/sensitivity."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print sensitivity.json on standard output.")
    ] = False,
) -> None:
    """Prune one matrix at a time, measure the loss, and suggest a sparsity for each.

    The suggestion lets every matrix raise the loss equally and meets the total. A scan that was
    stopped goes on by the same command; another target measures nothing anew.
    """
    from sparsespeech.pruning.allocation import allocate
    from sparsespeech.pruning.scan_sample import choose_sample
    from sparsespeech.pruning.sensitivity import scan_checkpoint
    from sparsespeech.pruning.sensitivity_file import write_scan
    from sparsespeech.report.sensitivity_plot import draw_sensitivity
    from sparsespeech.training.checkpoint import load_checkpoint

    wanted = _parse_sparsities(sparsities)
    source = load_checkpoint(checkpoint)
    limits = _limits(source, smallest, wanted[-1] if largest is None else largest, limit or [])
    folder = output or _default_folder(source.path)
    file = folder / "sensitivity.json"
    with Progress(console=Console(stderr=True), transient=True) as progress:
        sample = choose_sample(
            source,
            _utterances(source, manifest, split),
            count=utterances,
            seed=seed,
            progress=progress,
        )
        scan = scan_checkpoint(source, sample, wanted, file, progress, structure)
    scan.suggested = allocate(scan.curves(), scan.loss_dense, target, limits)
    write_scan(file, scan)
    draw_sensitivity(scan.to_json(), folder / "sensitivity.png")
    if as_json:
        typer.echo(json.dumps(scan.to_json()))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    console.print(_table(scan))
    for line in _summary(scan, file):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _parse_sparsities(text: str) -> list[float]:
    """Increasing sparsities; raises a usage error."""
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if not values or not all(0 < value < 1 for value in values):
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers between 0 and 1, such as {SPARSITIES}",
            param_hint="--sparsities",
        )
    return values


def _limits(
    source: Checkpoint, smallest: float, largest: float, exceptions: list[str]
) -> dict[str, Limits]:
    """Limits of every weight matrix: the options over the defaults."""
    from sparsespeech.graph import Output
    from sparsespeech.pruning.allocation import Limits, resolve_limits
    from sparsespeech.training.weight_matrices import weight_matrices

    names = list(weight_matrices(source))
    outputs = [layer.name for layer in source.graph.layers if isinstance(layer, Output)]
    given = [FIRST_LAYER_LIMIT, *(rf"^{name}\.=0" for name in outputs), *exceptions]
    chosen = {}
    for text in given:
        expression, equals, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not equals or not 0 <= number <= 1:
            raise typer.BadParameter(
                f"{text!r} is not REGEX=SPARSITY, such as {FIRST_LAYER_LIMIT}", param_hint="--limit"
            )
        chosen[expression] = Limits(min(smallest, number), min(largest, number))
    if smallest > largest:
        raise typer.BadParameter(
            f"{smallest} is above the largest sparsity {largest}", param_hint="--smallest"
        )
    return resolve_limits(names, Limits(smallest, largest), chosen)


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
    run = checkpoint.parent
    return (run.parent if run.name == "checkpoints" else run) / "sensitivity"


def _table(scan: Scan) -> Table:
    """One row a matrix: size, increase of the loss at each sparsity, suggested sparsity."""
    sparsities = sorted({sparsity for matrix in scan.matrices for sparsity in matrix.points})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("matrix", overflow="fold")
    for heading in ["weights", *(f"at {s:.1%}".replace(".0%", " %") for s in sparsities)]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("suggested", justify="right", no_wrap=True)
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
