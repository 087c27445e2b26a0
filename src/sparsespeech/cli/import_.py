"""``sparsespeech import STATE_DICT``: a torch network as a checkpoint to prune and quantize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

StateDictArgument = Annotated[
    Path, typer.Argument(help="File of torch.save(model.state_dict(), ...), or .safetensors.")
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
    state_dict: StateDictArgument,
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
    """Bring a torch network of nn.Linear and nn.LSTM layers.

    The checkpoint is what 'train' (as model.initial), 'prune', 'sensitivity', 'quantize' and
    'evaluate' read. The cell state of every LSTM saturates at +-16 here and does not in torch:
    --check tells whether that changes the network.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.exchange.description import read_description
    from sparsespeech.exchange.imported_checkpoint import prove_saveable, save_imported_network
    from sparsespeech.exchange.state_dict import read_state_dict
    from sparsespeech.exchange.torch_import import import_state_dict

    if limit is not None and check is None:
        raise typer.BadParameter("goes with --check", param_hint="--limit")
    changes = {
        "clip": clip,
        "labels": labels,
        "blank": blank,
        "normalisation": normalisation,
        "layers": layers.split(",") if layers else None,
        "ignore": ignore,
    }
    description = read_description(describe, changes)
    speech = _speech(train, development)
    utterances = read_manifest(check)[: limit or CHECKED] if check is not None else None
    network = import_state_dict(read_state_dict(state_dict, key), description)
    prove_saveable(network, output, speech)  # before minutes of work, not after
    seen = _check(network, utterances) if utterances is not None else None
    folder = save_imported_network(network, output, speech)
    warn_of_saturation(network, seen)
    if as_json:
        typer.echo(json.dumps(import_figures(network, folder, seen)))
        return
    console = table_console()
    console.print(import_table(network))
    for line in [*summary_lines(network, seen), *next_steps(network, output, speech)]:
        print_line(console, line)
    print_line(console, f"checkpoint: {folder}")


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
