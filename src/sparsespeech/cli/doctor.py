"""``sparsespeech doctor``: what this machine and installation offer, and what is wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sparsespeech import __version__, machine
from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.silence import holds_no_speech, slice_levels_dbfs
from sparsespeech.backend import backend_names, default_backend, is_built, load_backend
from sparsespeech.cli.failure import FAILURE_STATUS, print_failure
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cpu_engine.native import (
    INSTRUCTION_SET_VARIABLE,
    available_instruction_sets,
    choose_instruction_set,
)
from sparsespeech.cpu_engine.threads import THREADS_VARIABLE, resolve_threads
from sparsespeech.errors import SparseSpeechError
from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.recogniser import load

_LIBRARIES = ("numpy", "scipy", "soundfile", "soxr", "safetensors", "typer", "rich", "jiwer")
# A library of each extra of the package that the base installation does not bring.
_EXTRAS = {
    "train": "torch",
    "media": "av",
    "tensorboard": "tensorboard",
    "bench": "onnxruntime",
}
_SYNTHESIZERS = ("flite", "espeak-ng", "festival")

Report = dict[str, Any]


def run(
    model: Annotated[
        str | None, typer.Option(help="Model to load, for --lm too; default: all bundled models.")
    ] = None,
    lm: Annotated[
        Path | None, typer.Option(help="Language model that is to fit --model (ARPA).")
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="Recording to examine.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show versions, processor, threads, backends, extras and models; check what is named.

    The exit status is 2 if a check fails.
    """
    if lm is not None and model is None:
        raise typer.BadParameter("--lm needs --model to be compared with", param_hint="--lm")
    failures: list[str] = []
    report: Report = {
        "sparsespeech": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "processor": machine.processor_name(),
        "instruction_sets": machine.instruction_sets(),
        "threads": {
            "processors": os.cpu_count(),
            "affinity": machine.affinity(),
            "cgroup_quota": machine.cpu_quota(),
            "usable": machine.usable_threads(),
        },
        "backends": {
            name: _check(_backend(name), failures) for name in backend_names() if is_built(name)
        },
        "default_backend": default_backend(),
        "native_engine": _check(_native_engine, failures),
        "extras": {extra: _installed(library) for extra, library in _EXTRAS.items()},
        "synthesizers": {name: shutil.which(name) is not None for name in _SYNTHESIZERS},
        "models": {
            name: _check(_model(name), failures)
            for name in ([model] if model is not None else bundled_models())
        },
    }
    if lm is not None and model is not None:
        report["language_model"] = _check(_language_model(model, lm), failures)
    if audio is not None:
        report["audio"] = _check(_audio(audio), failures)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    for failure in failures:
        print_failure(failure)
    if failures:
        raise typer.Exit(FAILURE_STATUS)


def _check(check: Callable[[], Report], failures: list[str]) -> Report:
    """The findings of ``check`` with ``ok`` and seconds; its error goes to ``failures``."""
    start = time.perf_counter()
    try:
        findings = {"ok": True, **check()}
    except SparseSpeechError as error:
        failures.append(str(error))
        findings = {"ok": False, "error": str(error)}
    return {**findings, "seconds": round(time.perf_counter() - start, 4)}


def _backend(name: str) -> Callable[[], Report]:
    def check() -> Report:
        load_backend(name)
        return {}

    return check


def _model(name: str) -> Callable[[], Report]:
    def check() -> Report:
        recogniser = load(name)
        seconds = recogniser.features.context * recogniser.features.frame_duration_s
        bidirectional = recogniser.model.graph.bidirectional
        return {
            "labels": len(recogniser.model.labels),
            "bidirectional": bidirectional,
            "look_ahead_ms": None if bidirectional else round(1000 * seconds),
        }

    return check


def _language_model(model: str, path: Path) -> Callable[[], Report]:
    def check() -> Report:
        load(model).decoder("beam", language_model=path)
        return {"path": str(path), "model": model}

    return check


def _audio(path: Path) -> Callable[[], Report]:
    def check() -> Report:
        recording = read_audio(path)
        levels = slice_levels_dbfs(recording.samples, recording.sample_rate_hz)
        return {
            "path": str(path),
            "sample_rate_hz": recording.source_sample_rate_hz,
            "channels": recording.channels,
            "duration_s": round(recording.duration_s, 4),
            "loudest_dbfs": round(float(levels.max()), 1) if levels.size else None,
            "clipped_samples": recording.clipped_samples,
            "holds_speech": not holds_no_speech(recording.samples, recording.sample_rate_hz),
        }

    return check


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _native_engine() -> Report:
    """Whether it was built, and what it uses unless told otherwise; on which variables' word."""
    if not is_built("cpu"):
        return {"built": False}
    return {
        "built": True,
        "kernels": choose_instruction_set(),
        "available": available_instruction_sets(),
        "threads": resolve_threads(),
        **{
            name: os.environ[name]
            for name in (INSTRUCTION_SET_VARIABLE, THREADS_VARIABLE)
            if name in os.environ
        },
    }


def _show(report: Report) -> None:
    sets = [
        machine.INSTRUCTION_SETS[flag] for flag, has in report["instruction_sets"].items() if has
    ]
    threads = report["threads"]
    quota = threads["cgroup_quota"]
    rows = {
        "sparsespeech": f"{report['sparsespeech']}, Python {report['python']}",
        "libraries": _join(report["libraries"], lambda found: found or "missing"),
        "processor": report["processor"],
        "instruction sets": ", ".join(sets) or "none of those that the kernels use",
        "threads": f"{threads['usable']} usable ({threads['processors']} processors, affinity "
        f"{threads['affinity']}, cgroup quota {'none' if quota is None else quota})",
        "backends": f"{_join(report['backends'], _describe)}; default {report['default_backend']}",
        "native engine": _describe_engine(report["native_engine"]),
        "extras": _join(report["extras"], _yes_no),
        "synthesizers": _join(report["synthesizers"], _yes_no),
        "models": _join(report["models"], _describe) or "none bundled",
    }
    for key in ("language_model", "audio"):
        if key in report:
            rows[key.replace("_", " ")] = _describe(report[key])
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)


def _describe_engine(findings: Report) -> str:
    if findings["ok"] and not findings["built"]:
        return (
            "not built: no C++20 compiler was found when the package was installed; models run on "
            "the numpy reference, slower, with the same text"
        )
    return _describe({key: value for key, value in findings.items() if key != "built"})


def _join(entries: dict[str, Any], describe: Callable[[Any], str]) -> str:
    return ", ".join(f"{name} {describe(value)}" for name, value in entries.items())


def _yes_no(found: bool) -> str:
    return "yes" if found else "no"


def _describe(findings: Report) -> str:
    """Verdict, seconds and details of one check, in a line."""
    if not findings["ok"]:
        return f"FAILED: {findings['error']}"
    details = {
        name: value
        for name, value in findings.items()
        if name not in ("ok", "seconds") and value is not None
    }
    listed = "".join(
        f", {name.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in details.items()
    )
    return f"ok in {findings['seconds']:.3f} s{listed}"
