"""``sparsespeech bench NAME``: the benchmarks of this machine, beside their peers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from sparsespeech import machine
from sparsespeech.atomic_file import write_text
from sparsespeech.cli.default_model import default_model
from sparsespeech.cli.executor_options import BackendOption
from sparsespeech.cli.failure import print_warning

if TYPE_CHECKING:  # imported when a benchmark runs
    from sparsespeech.benchmarks.comparison import Settings
    from sparsespeech.benchmarks.result import BenchResult

app = typer.Typer(
    help="Measure this machine: the CPU engine beside other inference libraries.",
    no_args_is_help=True,
    add_completion=False,
)
ROUNDS, QUICK_ROUNDS = 10, 2
BUSY_LOAD = 0.5  # average of a minute
_FILE_WIDTH = 200  # characters, where the output is no terminal
_errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Output = Annotated[Path | None, typer.Option(help="Write the JSON object to this file too.")]
Plot = Annotated[Path | None, typer.Option(help="Draw the result: .png, .svg or .pdf.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of every contender; default: all usable.")
]
Rounds = Annotated[
    int | None, typer.Option(min=1, help=f"Turns of each contender; default {ROUNDS}.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Small models and few rounds: a look, no result.")
]
Peers = Annotated[
    str, typer.Option(help="installed, none, or names such as onnxruntime_int8,torch_fp32,mkl.")
]
DeepSparsePython = Annotated[
    Path | None,
    typer.Option(help="Interpreter of a virtual environment that holds deepsparse 1.8.0."),
]


@app.command()
def latency(
    model: Annotated[
        str | None, typer.Option(help="Model of the figures _trained; default english-small.")
    ] = None,
    lm_text: Annotated[
        list[Path] | None,
        typer.Option(help="Text of the 3-gram model; default: texts of the package. Repeatable."),
    ] = None,
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = "installed",
    deepsparse_python: DeepSparsePython = None,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """One second of audio, batch 1: acoustic model, stages, recurrent product."""
    from sparsespeech.benchmarks.latency import (
        HIDDEN,
        QUICK_HIDDEN,
        LatencyOptions,
        run_latency,
    )
    from sparsespeech.model_file.lookup import resolve_model
    from sparsespeech.model_file.reader import read_model

    options = LatencyOptions(
        settings=_settings(threads, rounds, quick, peers, deepsparse_python),
        trained=read_model(resolve_model(model or default_model())),
        hidden=QUICK_HIDDEN if quick else HIDDEN,
        language_texts=tuple(lm_text or ()),
    )
    _publish(lambda: run_latency(options), as_json, output, plot)


@app.command()
def throughput(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = "installed",
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """Live streams at a p99 of 60 ms a chunk, and batches of whole utterances."""
    from sparsespeech.benchmarks.latency import HIDDEN, QUICK_HIDDEN
    from sparsespeech.benchmarks.throughput import (
        CHUNKS_EACH,
        QUICK_CHUNKS_EACH,
        ThroughputOptions,
        run_throughput,
    )

    options = ThroughputOptions(
        settings=_settings(threads, rounds, quick, peers, None),
        hidden=QUICK_HIDDEN if quick else HIDDEN,
        chunks_each=QUICK_CHUNKS_EACH if quick else CHUNKS_EACH,
    )
    _publish(lambda: run_throughput(options), as_json, output, plot)


@app.command()
def deepbench(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = "installed",
    deepsparse_python: DeepSparsePython = None,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """The sparse product of DeepBench: 7680x2560, 95 % sparse, N = 1 and N = 1500."""
    from sparsespeech.benchmarks.deepbench import QUICK_DIVISOR, DeepBenchOptions, run_deepbench

    options = DeepBenchOptions(
        settings=_settings(threads, rounds, quick, peers, deepsparse_python),
        divisor=QUICK_DIVISOR if quick else 1,
    )
    _publish(lambda: run_deepbench(options), as_json, output, plot)


@app.command()
def density(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = "installed",
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """Time against density: where sparse kernels stop paying on this processor."""
    from sparsespeech.benchmarks.density import (
        DENSITIES,
        QUICK_DENSITIES,
        QUICK_DIVISOR,
        DensityOptions,
        run_density,
    )

    options = DensityOptions(
        settings=_settings(threads, rounds, quick, peers, None),
        densities=QUICK_DENSITIES if quick else DENSITIES,
        divisor=QUICK_DIVISOR if quick else 1,
    )
    _publish(lambda: run_density(options), as_json, output, plot)


@app.command()
def lstmp(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = "installed",
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """Three projected LSTM layers, 100 frames, 1 and 32 channels."""
    from sparsespeech.benchmarks.lstmp import QUICK_DIVISOR, LstmpOptions, run_lstmp

    options = LstmpOptions(
        settings=_settings(threads, rounds, quick, peers, None),
        divisor=QUICK_DIVISOR if quick else 1,
    )
    _publish(lambda: run_lstmp(options), as_json, output, plot)


@app.command()
def training(
    threads: Annotated[int, typer.Option(min=1, help="Threads of every contender.")] = 1,
    rounds: Rounds = None,
    quick: Quick = False,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """A training step of our LSTM and of DeepSpeech, beside torch's nn.LSTM."""
    from sparsespeech.benchmarks.training import (
        QUICK_WIDTHS,
        WIDTHS,
        TrainingOptions,
        run_training,
    )

    _warn_if_busy()
    options = TrainingOptions(
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
        widths=QUICK_WIDTHS if quick else WIDTHS,
        threads=threads,
        on_progress=_show_progress,
    )
    _publish(lambda: run_training(options), as_json, output, plot)


@app.command()
def accuracy(
    plan: Annotated[
        Path | None, typer.Argument(help="YAML file of corpora and checkpoints; see the tutorial.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Without a plan: recordings and their texts.")
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="DENSE,SPARSE", help="Two checkpoints of one seed. Repeatable."),
    ] = None,
    corpus: Annotated[str, typer.Option(help="Prefix of the figures, with --manifest.")] = "an4",
    lm: Annotated[Path | None, typer.Option(help="Language model, with --manifest.")] = None,
    work: Annotated[
        Path, typer.Option(help="Keeps integer models and hypotheses: nothing is decoded twice.")
    ] = Path("runs/accuracy"),
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N utterances.")] = None,
    by_speaker: Annotated[
        bool, typer.Option("--by-speaker", help="Draw speakers, not utterances, for intervals.")
    ] = False,
    backend: BackendOption = None,
    threads: Threads = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
) -> None:
    """Word error rates, dense and sparse, float and int8, over seeds (Table III of the MAU paper).

    Checkpoints are quantized as their recipes say. Choose on development speech; run a test set
    once.
    """
    from sparsespeech.benchmarks.accuracy import AccuracyOptions, run_accuracy
    from sparsespeech.cli.accuracy_options import accuracy_options

    options: AccuracyOptions = accuracy_options(
        plan, manifest, pair or [], corpus, lm,
        work=work, limit=limit, by_speaker=by_speaker, backend=backend, threads=threads, jobs=jobs,
    )  # fmt: skip
    _publish(lambda: run_accuracy(options), as_json, output, plot)


def _settings(
    threads: int | None,
    rounds: int | None,
    quick: bool,
    peers: str,
    deepsparse_python: Path | None,
) -> Settings:
    from sparsespeech.benchmarks.comparison import Settings
    from sparsespeech.benchmarks.engine import cpu_engine
    from sparsespeech.benchmarks.peers import PeerChoice, parse_peers

    _warn_if_busy()
    return Settings(
        make_engine=cpu_engine(),
        peers=PeerChoice(parse_peers(peers), deepsparse_python),
        threads=threads or machine.usable_threads(),
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
        on_progress=_show_progress,
    )


def _warn_if_busy() -> None:
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        print_warning(
            f"other programs compute on this machine (load {load:.1f}), which spoils the figures"
        )


def _show_progress(what: str) -> None:
    _errors.print(f"measuring {what} ...", style="dim", markup=False)


def _publish(
    run: Callable[[], BenchResult], as_json: bool, output: Path | None, plot: Path | None
) -> None:
    from sparsespeech.benchmarks.plots import check_picture, draw

    if plot is not None:
        check_picture(plot)  # before the minutes that a benchmark takes
    result = run()
    text = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
    if output is not None:
        write_text(output, text + "\n")
    if plot is not None:
        draw(result, plot)
    if as_json:
        typer.echo(text)
    else:
        _show(result)


def _show(result: BenchResult) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    answer = result.to_json()
    facts = answer["machine"]
    console.print(
        f"bench {result.bench} on {facts['processor']} "
        f"({' '.join(facts['cpu_flags'])}), load {facts['load_average']}",
        markup=False,
        highlight=False,
    )
    for name in dict.fromkeys(row["table"] for row in answer["rows"]):
        console.print(_table(name, [row for row in answer["rows"] if row["table"] == name]))
    figures = Table("figure", title="Figures", title_justify="left", box=box.SIMPLE_HEAD)
    figures.add_column("value", justify="right")
    for name, value in answer["figures"].items():
        figures.add_row(name, _cell(value))
    console.print(figures)
    for note in answer["config"].get("left_out", []):
        console.print(note, markup=False, highlight=False)


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    """A table with the columns of all its rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "table"))
    if "title" in columns:  # the same in words
        columns.remove("name")
        columns.insert(0, columns.pop(columns.index("title")))
    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = all(not isinstance(row.get(column), str) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)
