"""``sparsespeech bench NAME``: the benchmarks of this machine, beside their peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sparsespeech import machine
from sparsespeech.cli.accelerator_bench import (
    CPU,
    SIMULATOR,
    BenchBackend,
    DenseModelOption,
    refuse_options,
    simulated_bench,
)
from sparsespeech.cli.accelerator_options import TargetOption
from sparsespeech.cli.bench_output import (
    AsJson,
    KeptResults,
    MarkdownPage,
    Output,
    Plot,
    publish,
    publish_kept,
)
from sparsespeech.cli.default_model import default_model
from sparsespeech.cli.executor_options import BackendOption
from sparsespeech.cli.failure import print_warning
from sparsespeech.compilation import DEFAULT_TARGET

if TYPE_CHECKING:  # imported when a benchmark runs
    from sparsespeech.benchmarks.comparison import Settings

app = typer.Typer(
    help="Measure the CPU engine beside other libraries, or count an accelerator's cycles.",
    no_args_is_help=True,
    add_completion=False,
)
ROUNDS, QUICK_ROUNDS = 10, 2
PEERS = "installed"
BUSY_LOAD = 0.5  # average of a minute
_errors = Console(stderr=True)

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
        str | None, typer.Option(help="Model of the figures _trained; default english-medium.")
    ] = None,
    lm_text: Annotated[
        list[Path] | None,
        typer.Option(help="Text of the 3-gram model; default: texts of the package. Repeatable."),
    ] = None,
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = PEERS,
    deepsparse_python: DeepSparsePython = None,
    backend: BenchBackend = CPU,
    target: TargetOption = DEFAULT_TARGET,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """One second of audio, batch 1: acoustic model, stages, recurrent product.

    With --backend simulator: cycles of the accelerator beside Table V of the MAU paper, by cause;
    --model is then simulated in place of the full-size random one.
    """
    if backend == SIMULATOR:
        refuse_options(threads=threads, rounds=rounds, lm_text=lm_text, peers=peers != PEERS,
                       deepsparse_python=deepsparse_python)  # fmt: skip
        simulated_bench("latency", as_json, output, plot, markdown,
                        model=model, target=target, quick=quick)  # fmt: skip
        return
    refuse_options("cpu", markdown=markdown, target=target != DEFAULT_TARGET)
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
    publish(lambda: run_latency(options), as_json, output, plot)


@app.command()
def throughput(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = PEERS,
    backend: BenchBackend = CPU,
    target: TargetOption = DEFAULT_TARGET,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """Live streams at a p99 of 60 ms a chunk, and batches of whole utterances.

    With --backend simulator: a stream of utterances through the accelerator, two in flight, beside
    Table IV of the MAU paper.
    """
    if backend == SIMULATOR:
        refuse_options(threads=threads, rounds=rounds, peers=peers != PEERS)
        simulated_bench("throughput", as_json, output, plot, markdown, target=target, quick=quick)
        return
    refuse_options("cpu", markdown=markdown, target=target != DEFAULT_TARGET)
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
    publish(lambda: run_throughput(options), as_json, output, plot)


@app.command()
def deepbench(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = PEERS,
    deepsparse_python: DeepSparsePython = None,
    backend: BenchBackend = CPU,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """The sparse product of DeepBench: 7680x2560, 95 % sparse, N = 1 and N = 1500.

    With --backend simulator: a stream of vectors through the target deepbench, beside Table VI of
    the MAU paper.
    """
    if backend == SIMULATOR:
        refuse_options(threads=threads, rounds=rounds, peers=peers != PEERS,
                       deepsparse_python=deepsparse_python)  # fmt: skip
        simulated_bench("deepbench", as_json, output, plot, markdown, quick=quick)
        return
    refuse_options("cpu", markdown=markdown)
    from sparsespeech.benchmarks.deepbench import QUICK_DIVISOR, DeepBenchOptions, run_deepbench

    options = DeepBenchOptions(
        settings=_settings(threads, rounds, quick, peers, deepsparse_python),
        divisor=QUICK_DIVISOR if quick else 1,
    )
    publish(lambda: run_deepbench(options), as_json, output, plot)


@app.command()
def density(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = PEERS,
    backend: BenchBackend = CPU,
    model: Annotated[
        str | None,
        typer.Option(help="Trained model of the simulator's patterns; default english-medium."),
    ] = None,
    dense_model: DenseModelOption = None,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """Time against density: where sparse kernels stop paying on this processor.

    With --backend simulator: an accelerator's cycles against sparsity, for nonzeros at random
    places, those of a trained model, and bank-balanced ones.
    """
    if backend == SIMULATOR:
        refuse_options(threads=threads, rounds=rounds, peers=peers != PEERS)
        simulated_bench("density", as_json, output, plot, markdown,
                        model=model, dense_model=dense_model, quick=quick)  # fmt: skip
        return
    refuse_options("cpu", markdown=markdown, model=model, dense_model=dense_model)
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
    publish(lambda: run_density(options), as_json, output, plot)


@app.command()
def mapping(
    model: Annotated[
        str | None, typer.Option(help="Model to map; default: the full-size random one.")
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    quick: Quick = False,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """Cores and efficiency of each layer on an accelerator (Table II of the MAU paper)."""
    simulated_bench(
        "mapping", as_json, output, plot, markdown, model=model, target=target, quick=quick
    )


@app.command()
def lstmp(
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    peers: Peers = PEERS,
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
    publish(lambda: run_lstmp(options), as_json, output, plot)


@app.command()
def training(
    threads: Annotated[int, typer.Option(min=1, help="Threads of every contender.")] = 1,
    rounds: Rounds = None,
    widths: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Cells of one direction; 256 to 1024 by default."),
    ] = None,
    quick: Quick = False,
    as_json: AsJson = False,
    output: Output = None,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """A training step of our LSTM and of DeepSpeech, beside torch's nn.LSTM.

    The bidirectional layer at every width, the whole step at 768. Ten minutes on one quiet core
    with --rounds 3.
    """
    from sparsespeech.benchmarks.training import (
        QUICK_WIDTHS,
        WIDTHS,
        TrainingOptions,
        parse_widths,
        run_training,
    )

    _warn_if_busy()
    options = TrainingOptions(
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
        widths=parse_widths(widths) if widths else QUICK_WIDTHS if quick else WIDTHS,
        threads=threads,
        on_progress=_show_progress,
    )
    page = ("training", markdown) if markdown else None
    publish(lambda: run_training(options), as_json, output, plot, page)


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
    markdown: MarkdownPage = None,
) -> None:
    """Word error rates, dense and sparse, float and int8, over seeds (Table III of the MAU paper).

    Everything that the plan names is read and checked before anything is measured. Checkpoints
    are quantized as their recipes say. What is measured stays in the --work folder, so that a
    test set is used once: the same command again decodes nothing. Choose on development speech.
    """
    from sparsespeech.benchmarks.accuracy import AccuracyOptions, run_accuracy
    from sparsespeech.cli.accuracy_options import accuracy_options

    options: AccuracyOptions = accuracy_options(
        plan, manifest, pair or [], corpus, lm,
        work=work, limit=limit, by_speaker=by_speaker, backend=backend, threads=threads, jobs=jobs,
    )  # fmt: skip
    page = ("accuracy", markdown) if markdown else None
    publish(lambda: run_accuracy(options), as_json, output, plot, page)


@app.command()
def report(
    results: KeptResults,
    as_json: AsJson = False,
    plot: Plot = None,
    markdown: MarkdownPage = None,
) -> None:
    """Show, draw or tabulate kept results again; nothing is measured."""
    publish_kept(results, as_json, plot, markdown)


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
