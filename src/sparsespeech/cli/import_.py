"""``sparsespeech import NETWORK``: a torch network or a model file as a checkpoint to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from sparsespeech.cli.import_report import (
    import_figures,
    import_table,
    next_steps,
    summary_lines,
    warn_of_saturation,
)
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import print_line, table_console

if TYPE_CHECKING:
    from sparsespeech.corpora.manifest import Utterance
    from sparsespeech.exchange.cell_range import CellRange
    from sparsespeech.exchange.imported_checkpoint import Speech
    from sparsespeech.exchange.torch_import import ImportedNetwork

CHECKED = 20  # utterances of --check unless --limit says

NetworkArgument = Annotated[
    str,  # a Path would make ./an4, a folder, the bundled an4
    typer.Argument(
        metavar="NETWORK",
        help="File of torch.save(model.state_dict(), ...), a .safetensors state dict, or a model "
        "file or the name of a bundled model.",
    ),
]
OutputOption = Annotated[Path, typer.Option(help="Run folder to write; it holds one checkpoint.")]
DescribeOption = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with what a state dict cannot say: features, labels, normalisation, clip; "
        "options replace its keys."
    ),
]
ClipOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|none", help="Where the ReLU after each hidden nn.Linear is clipped."
    ),
]
LabelsOption = Annotated[
    str | None, typer.Option(help="Symbols in class order, without the blank.")
]
BlankOption = Annotated[
    str | None, typer.Option(metavar="first|last|CLASS", help="Class of the CTC blank.")
]
NormalisationOption = Annotated[
    str | None,
    typer.Option(
        metavar="none", help="Features are not normalised; mean and deviation: see --describe."
    ),
]
LayersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,...", help="Modules from input to output; default: as in the file."
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option(metavar="REGEX", help="Leave out tensors of these names. Repeatable."),
]
KeyOption = Annotated[str | None, typer.Option(help="Entry of the file that holds the state dict.")]
TrainOption = Annotated[
    Path | None,
    typer.Option(
        help="Manifest that 'prune' trains on later, with --development; nothing is trained now."
    ),
]
DevelopmentOption = Annotated[
    Path | None, typer.Option(help="Manifest that shows how that training goes, with --train.")
]
CheckOption = Annotated[
    Path | None,
    typer.Option(
        help="Manifest of speech to run: does the saturation of cell states change its text?"
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help=f"With --check: run the first N utterances; default: {CHECKED}."),
]


def run(
    network: NetworkArgument,
    output: OutputOption,
    describe: DescribeOption = None,
    clip: ClipOption = None,
    labels: LabelsOption = None,
    blank: BlankOption = None,
    normalisation: NormalisationOption = None,
    layers: LayersOption = None,
    ignore: IgnoreOption = None,
    key: KeyOption = None,
    train: TrainOption = None,
    development: DevelopmentOption = None,
    check: CheckOption = None,
    limit: LimitOption = None,
    as_json: AsJson = False,
) -> None:
    """Bring a torch network of nn.Linear and nn.LSTM layers, or a model file, to train it on.

    The checkpoint is what 'train' (as model.initial), 'prune', 'sensitivity', 'quantize' and
    'evaluate' read. The cell state of every LSTM saturates at +-16 here and does not in torch:
    --check tells whether that changes the network. A model file, as 'sparsespeech import
    english-medium', needs no description: it gives the weights that its integers stand for.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.exchange.imported_checkpoint import prove_saveable, save_imported_network
    from sparsespeech.model_file.lookup import is_model

    if limit is not None and check is None:
        raise typer.BadParameter("goes with --check", param_hint="--limit")
    foreign = not is_model(network)
    changes: dict[str, Any] = {
        "clip": clip,
        "labels": labels,
        "blank": blank,
        "normalisation": normalisation,
        "layers": layers.split(",") if layers else None,
        "ignore": ignore,
    }
    if not foreign:
        _refuse({"describe": describe, **changes, "key": key, "check": check})
    speech = _speech(train, development)
    utterances = read_manifest(check)[: limit or CHECKED] if check is not None else None
    imported = _foreign(Path(network), key, describe, changes) if foreign else _model(network)
    prove_saveable(imported, output, speech)  # before minutes of work, not after
    seen = _check(imported, utterances) if utterances is not None else None
    folder = save_imported_network(imported, output, speech)
    if foreign:  # networks of model files trained with saturation
        warn_of_saturation(imported, seen)
    if as_json:
        typer.echo(json.dumps(import_figures(imported, folder, seen)))
        return
    console = table_console()
    console.print(import_table(imported))
    for line in [*summary_lines(imported, seen), *next_steps(imported, output, speech)]:
        print_line(console, line)
    print_line(console, f"checkpoint: {folder}")


def _foreign(
    path: Path, key: str | None, describe: Path | None, changes: dict[str, Any]
) -> ImportedNetwork:
    """The network of a state dict, as its description says."""
    from sparsespeech.exchange.description import read_description
    from sparsespeech.exchange.state_dict import read_state_dict
    from sparsespeech.exchange.torch_import import import_state_dict

    description = read_description(describe, changes)
    return import_state_dict(read_state_dict(path, key), description)


def _model(name_or_path: str) -> ImportedNetwork:
    """The network of a model file or a bundled model."""
    from sparsespeech.exchange.integer_import import import_model_file
    from sparsespeech.model_file.lookup import resolve_model

    return import_model_file(resolve_model(name_or_path))


def _refuse(options: dict[str, Any]) -> None:
    """Raise BadParameter for the first option that only a state dict needs."""
    for name, value in options.items():
        if value:
            raise typer.BadParameter(
                "is for state dicts; a model file says all of it itself", param_hint=f"--{name}"
            )


def _speech(train: Path | None, development: Path | None) -> Speech | None:
    """The manifests of later training, both or none; raises ManifestError for a wrong one."""
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.exchange.imported_checkpoint import Speech

    if train is None and development is None:
        return None
    if train is None or development is None:
        raise typer.BadParameter("--train and --development go together", param_hint="--train")
    for manifest in (train, development):
        read_manifest(manifest)  # a wrong path would be found hours later
    return Speech(train, development)


def _check(network: ImportedNetwork, utterances: list[Utterance]) -> CellRange:
    from sparsespeech.exchange.cell_range import measure_cell_range
    from sparsespeech.exchange.imported_checkpoint import unsaved_checkpoint

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        return measure_cell_range(unsaved_checkpoint(network), utterances, progress)
