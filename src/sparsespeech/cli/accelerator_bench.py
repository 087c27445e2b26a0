"""Benchmarks of the accelerator: their options, and the one that a name stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sparsespeech.cli.bench_output import publish
from sparsespeech.cli.default_model import default_model
from sparsespeech.compilation import DEFAULT_TARGET

if TYPE_CHECKING:  # imported when a benchmark runs
    from sparsespeech.benchmarks.accelerator_density import DenseModel
    from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions
    from sparsespeech.benchmarks.result import BenchResult
    from sparsespeech.model_file.model import IntegerModel

CPU, SIMULATOR = "cpu", "simulator"
_BACKENDS = (CPU, SIMULATOR)
_errors = Console(stderr=True)


def _known_backend(name: str) -> str:
    if name not in _BACKENDS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(_BACKENDS)}")
    return name


BenchBackend = Annotated[
    str,
    typer.Option(
        metavar="|".join(_BACKENDS),
        callback=_known_backend,
        help="cpu: seconds of this machine. simulator: cycles of an accelerator.",
    ),
]


DenseModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="With --backend simulator: integer model of a network trained dense, which is pruned "
        "by magnitude to every sparsity; without it trained rows begin at that of --model.",
    ),
]


def refuse_options(backend: str = SIMULATOR, **given: object) -> None:
    """Raise BadParameter for the first option that was given and means nothing to ``backend``."""
    for name, value in given.items():
        if value:
            raise typer.BadParameter(
                f"--backend {backend} does not take this option",
                param_hint=f"--{name.replace('_', '-')}",
            )


def simulated_bench(
    name: str,
    as_json: bool,
    output: Path | None,
    plot: Path | None,
    markdown: Path | None,
    *,
    model: str | None = None,
    dense_model: str | None = None,
    target: str = DEFAULT_TARGET,
    quick: bool = False,
) -> None:
    """Run the accelerator's benchmark ``name`` and publish it.

    ``model`` is a model file or name in place of the benchmark's own, ``dense_model`` the dense
    one of the benchmark "density". Raises CompileError for a model that does not fit the target.
    """
    bench = name if name == "mapping" else f"{name}-{SIMULATOR}"
    page = (bench, markdown) if markdown else None
    runner = (
        _density(model, dense_model, quick)
        if name == "density"
        else _runner(name, model, target, quick)
    )
    publish(runner, as_json, output, plot, page)


def _runner(name: str, model: str | None, target: str, quick: bool) -> Callable[[], BenchResult]:
    """The benchmark with its options; models are made when it runs.

    Raises AcceleratorConfigError for an unknown target and ModelFileError for a model that cannot
    be read, both before anything is computed.
    """
    from sparsespeech.accelerator_config import target as named_target
    from sparsespeech.benchmarks.accelerator_deepbench import (
        deepbench_options,
        run_deepbench_simulated,
    )
    from sparsespeech.benchmarks.accelerator_latency import run_latency_simulated
    from sparsespeech.benchmarks.accelerator_throughput import run_throughput_simulated
    from sparsespeech.benchmarks.deepbench import QUICK_DIVISOR
    from sparsespeech.benchmarks.mapping import run_mapping

    named_target(target)
    if name == "deepbench":
        divisor = QUICK_DIVISOR if quick else 1
        return lambda: run_deepbench_simulated(deepbench_options(divisor))
    benches = {
        "mapping": run_mapping,
        "latency": run_latency_simulated,
        "throughput": run_throughput_simulated,
    }
    chosen = _named_model(model) if model else None
    return lambda: benches[name](_options(chosen or _random_model(quick), target))


def _density(model: str | None, dense: str | None, quick: bool) -> Callable[[], BenchResult]:
    """Cycles against sparsity; raises ModelFileError before anything is computed."""
    from sparsespeech.benchmarks.accelerator_density import (
        QUICK_SPARSITIES,
        SPARSITIES,
        SimulatedDensityOptions,
        run_density_simulated,
    )

    options = _options(_named_model(model or default_model()), DEFAULT_TARGET)
    given = _dense_model(dense) if dense else None
    sparsities = QUICK_SPARSITIES if quick else SPARSITIES
    return lambda: run_density_simulated(
        SimulatedDensityOptions(options, given, None if quick else _random_model(quick), sparsities)
    )


def _dense_model(name: str) -> DenseModel:
    from sparsespeech.benchmarks.accelerator_density import DenseModel
    from sparsespeech.model_file.lookup import resolve_model
    from sparsespeech.model_file.reader import read_model

    path = resolve_model(name)
    model = read_model(path)
    with path.open("rb") as stream:
        return DenseModel(model, path.name, hashlib.file_digest(stream, "sha256").hexdigest())


def _named_model(name: str) -> IntegerModel:
    from sparsespeech.model_file.lookup import resolve_model
    from sparsespeech.model_file.reader import read_model

    return read_model(resolve_model(name))


def _random_model(quick: bool) -> IntegerModel:
    """DeepSpeech with random weights, 96 % of them zero; 2048 cells a direction as in S2."""
    from sparsespeech.benchmarks.latency import HIDDEN, QUICK_HIDDEN, make_random_model

    return make_random_model(QUICK_HIDDEN if quick else HIDDEN)


def _options(model: IntegerModel, target: str) -> AcceleratorOptions:
    from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions

    return AcceleratorOptions(model, target, on_progress=_show_progress)


def _show_progress(what: str) -> None:
    _errors.print(f"{what} ...", style="dim", markup=False)
