"""``sparsespeech tune MODEL``: search once for what makes a model fastest on this processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import figures_table, table_console
from sparsespeech.cpu_engine.layers import count_nonzeros, describe_layers
from sparsespeech.cpu_engine.native import choose_instruction_set
from sparsespeech.cpu_engine.packed_cache import (
    CacheKey,
    Tuning,
    cache_key,
    clear_cache,
    read_tuning,
    write_tuning,
)
from sparsespeech.cpu_engine.threads import LARGEST_THREADS, Threads, resolve_threads
from sparsespeech.cpu_engine.tuning import tune
from sparsespeech.errors import PackedCacheError
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model


def run(
    model: Annotated[
        str | None,
        typer.Argument(help="Model file, folder or bundled name; --clear works without one too."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=86400.0, help="How long to search, about.")
    ] = 30.0,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST_THREADS,
            help="Threads to tune for; default: those that the model would run on.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 1,
    force: Annotated[
        bool,
        typer.Option("--force", help="Search again, whatever result there is."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only show the result that is there, and prove it.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove the result for MODEL, or all without MODEL.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search for the fastest packed order and kernels of a model, and keep them in a cache.

    Backend cpu takes them whenever it loads the model here on as many threads. The text is the
    same with and without. SPARSESPEECH_CACHE_DIR names another folder for the cache.
    """
    if model is None and not clear:
        raise typer.BadParameter("name a model, or --clear to remove all results")
    if sum((force, check, clear)) > 1:
        raise typer.BadParameter("--force, --check and --clear exclude each other")
    source = None if model is None else read_model(resolve_model(model))
    key = None if source is None else _key(source, threads)
    if clear:
        _show_removed(clear_cache(key), as_json)
        return
    assert source is not None and key is not None  # proved above
    if check and not key.path.exists():
        raise PackedCacheError(
            f"{key.path}: is not there: {model} is not tuned for {_kind(key)} here; run "
            f"`sparsespeech tune {model}`"
        )
    fresh = force or not key.path.exists()
    if fresh:  # before minutes of work, not after
        key.path.parent.mkdir(parents=True, exist_ok=True)
    tuning = _search(source, key, seconds, seed) if fresh else read_tuning(key)
    if fresh:
        write_tuning(key, tuning)
    _show(str(model), key, tuning, fresh, as_json)


def _key(model: IntegerModel, threads: int | None) -> CacheKey:
    """Where the engine would look if it loaded the model now."""
    layers = describe_layers(model)
    wanted: Threads = "auto" if threads is None else threads
    number = resolve_threads(wanted, nonzeros=count_nonzeros(layers))
    return cache_key(layers, choose_instruction_set(), number)


def _search(model: IntegerModel, key: CacheKey, seconds: float, seed: int) -> Tuning:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("packing", total=1.0)
        return tune(
            model,
            threads=key.threads,
            instruction_set=key.instruction_set,
            seconds=seconds,
            seed=seed,
            report=lambda what, share: progress.update(task, description=what, completed=share),
        )


def _show_removed(files: list[Path], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"removed": [str(file) for file in files]}))
        return
    for file in files:
        print(f"removed {file}")
    if not files:
        print("nothing to remove")


def _show(model: str, key: CacheKey, tuning: Tuning, fresh: bool, as_json: bool) -> None:
    if as_json:
        report = {
            "model": model,
            "file": str(key.path),
            "searched": fresh,
            "processor": key.processor,
            "instruction_set": key.instruction_set,
            "threads": key.threads,
            "layers": tuning.layers,
            **tuning.facts,
        }
        print(json.dumps(report, indent=2))
        return
    console = table_console()
    facts = tuning.facts
    console.print(
        f"{model}: {_kind(key)}, {facts['turns']} turns of the search in "
        f"{facts['seconds']} s{'' if fresh else ' (tuned before; --force repeats it)'}"
    )
    console.print(_matrix_table(facts["slots_per_nonzero"]))
    console.print(_layer_table(facts["milliseconds"], tuning))
    before, after = facts["packed_bytes"]
    console.print(f"packed: {before / 1e6:.2f} MB untuned, {after / 1e6:.2f} MB tuned")
    console.print(f"kept in {key.path}")


def _kind(key: CacheKey) -> str:
    return f"{key.instruction_set} kernels on {key.threads} thread{'s' if key.threads > 1 else ''}"


def _matrix_table(slots: dict[str, list[float]]) -> Table:
    table = figures_table("swept matrix", "stored / nonzero untuned", "tuned")
    for name, (before, after) in slots.items():
        table.add_row(name, f"{before:.3f}", f"{after:.3f}")
    return table


def _layer_table(milliseconds: dict[str, list[float]], tuning: Tuning) -> Table:
    table = figures_table("layer", "ms for 1 s of audio untuned", "tuned", "kernels")
    table.columns[-1].justify, table.columns[-1].no_wrap = "left", False  # words, no figures
    for name, (before, after) in milliseconds.items():
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", _kernels(tuning.layers.get(name, {})))
    total = [sum(column) for column in zip(*milliseconds.values(), strict=True)]
    table.add_section()
    table.add_row("all", *(f"{each:.3f}" for each in total), "")
    return table


def _kernels(choice: dict[str, Any]) -> str:
    """What a layer is packed with, in words; nothing is the engine's own choice."""
    words = []
    if "sweep_window" in choice:
        words.append(f"window {choice['sweep_window']}, {choice['sweep_groups']} groups")
    for name, use in (("dense_product_from", "vectors"), ("dense_tile_from", "tiles")):
        if name in choice:
            words.append(f"{use} {'sparse' if choice[name] else 'dense'}")
    return "; ".join(words) or "as by default"
