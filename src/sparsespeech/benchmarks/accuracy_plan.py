"""What ``bench accuracy`` measures: corpora with their runs, a curve, and what was tried.

The plan is a YAML file; ``$NAME`` in paths are environment variables. Everything but one manifest
and one pair is optional::

    calibration: $MANIFESTS/train-an4.jsonl   # of the int8 models; default: the recipe's
    corpora:
      an4:                                    # becomes the prefix of the figures
        manifest: $MANIFESTS/test-an4.jsonl
        split: null
        lm: an4.arpa.gz                       # rows with the suffix _lm as well
        pairs:                                # one a seed
          - {seed: 0, dense: $RUNS/an4-dense-0, sparse: $RUNS/an4-sparse-0}
        single:                               # figures an4_wer_9054 and an4_wer_density10
          9054: $RUNS/an4-9054
          density10: $RUNS/an4-density10
    equal_nonzeros:                           # word error rate against stored bytes
      manifest: $MANIFESTS/dev-an4.jsonl
      dense_small: [{label: "128", checkpoint: $RUNS/small-128}]
      sparse_large: [{label: "384, 88 %", checkpoint: $RUNS/large-384}]
    tried:                                    # on development speech, float
      manifest: $MANIFESTS/dev-an4.jsonl
      runs: [{label: distilled, checkpoint: $RUNS/an4-distilled, note: "weight 0.5"}]
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech.errors import BenchmarkError

FAMILIES = ("dense_small", "sparse_large")
_OTHER_TABLES = ("medians", "published", "tried")  # of the result, that hold no corpus


@dataclass(frozen=True)
class Pair:
    """The dense and the sparse checkpoint of one seed."""

    seed: int
    dense: Path
    sparse: Path


@dataclass(frozen=True)
class Run:
    """One checkpoint under a name of its own."""

    label: str
    checkpoint: Path
    note: str = ""


@dataclass(frozen=True)
class TestSet:
    """Recordings and their texts; ``lm`` is an ARPA file for a second decoding."""

    manifest: Path
    split: str | None = None
    lm: Path | None = None


@dataclass(frozen=True)
class CorpusPlan:
    """One corpus of Table III; ``single`` are runs without a partner, by figure name."""

    name: str
    test: TestSet
    pairs: tuple[Pair, ...]
    single: tuple[Run, ...] = ()


@dataclass(frozen=True)
class CurvePlan:
    """Models of several sizes, by family."""

    test: TestSet
    runs: dict[str, tuple[Run, ...]]


@dataclass(frozen=True)
class TriedPlan:
    """Runs that were tried and what was different about each."""

    test: TestSet
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class AccuracyPlan:
    """Everything that one run of the benchmark measures."""

    corpora: tuple[CorpusPlan, ...]
    equal_nonzeros: CurvePlan | None = None
    tried: TriedPlan | None = None
    calibration: Path | None = None


def read_plan(path: Path) -> AccuracyPlan:
    """Read a plan; raises BenchmarkError naming the file and the key."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BenchmarkError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return parse_plan(values)
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None


def parse_plan(values: Any) -> AccuracyPlan:
    """Check plain values; raises BenchmarkError naming the key."""
    keys = _keys(values, "plan", ("corpora", "equal_nonzeros", "tried", "calibration"))
    corpora = _keys(keys.get("corpora", {}), "corpora")
    plan = AccuracyPlan(
        tuple(_corpus(str(name), section) for name, section in corpora.items()),
        _curve(keys["equal_nonzeros"]) if keys.get("equal_nonzeros") else None,
        _tried(keys["tried"]) if keys.get("tried") else None,
        _path(keys["calibration"], "calibration") if keys.get("calibration") else None,
    )
    if not (plan.corpora or plan.equal_nonzeros or plan.tried):
        raise BenchmarkError("names nothing to measure; give corpora, equal_nonzeros or tried")
    return plan


def _corpus(name: str, section: Any) -> CorpusPlan:
    where = f"corpora.{name}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BenchmarkError(
            f"{where}: the name becomes part of figure names; use small letters, digits and _"
        )
    if name in _OTHER_TABLES:
        raise BenchmarkError(
            f"{where}: the result has a table {name!r} of its own; choose another name than "
            f"{', '.join(_OTHER_TABLES)}"
        )
    keys = _keys(section, where, ("manifest", "split", "lm", "pairs", "single"))
    pairs = []
    for number, pair in enumerate(_list(keys.get("pairs", []), f"{where}.pairs")):
        place = f"{where}.pairs[{number}]"
        pair = _keys(pair, place, ("seed", "dense", "sparse"))
        seed = pair.get("seed", number)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise BenchmarkError(f"{place}.seed: expected a whole number, got {seed!r}")
        dense, sparse = (_path(pair.get(key), f"{place}.{key}") for key in ("dense", "sparse"))
        pairs.append(Pair(seed, dense, sparse))
    if len({pair.seed for pair in pairs}) < len(pairs):
        raise BenchmarkError(f"{where}.pairs: two pairs have the same seed")
    single = _keys(keys.get("single") or {}, f"{where}.single")
    runs = tuple(
        Run(str(label), _path(text, f"{where}.single.{label}")) for label, text in single.items()
    )
    if not pairs and not runs:
        raise BenchmarkError(f"{where}: names no pairs and no single runs")
    test = _test_set(keys, where)
    _check_labels(f"{where}.single", runs, with_lm=test.lm is not None)
    return CorpusPlan(name, test, tuple(pairs), runs)


def _check_labels(where: str, runs: tuple[Run, ...], *, with_lm: bool) -> None:
    """Each single run has figures of its own, whose names are the label and these endings."""
    endings = ("", "_float", "_lm", "_float_lm") if with_lm else ("", "_float")
    names = [run.label + ending for run in runs for ending in endings]
    for name in names:
        if names.count(name) > 1:
            raise BenchmarkError(
                f"{where}: two runs have the figure {name!r}, since their labels get the endings "
                f"{', '.join(endings[1:])}; rename one of them"
            )


def _curve(section: Any) -> CurvePlan:
    where = "equal_nonzeros"
    keys = _keys(section, where, ("manifest", "split", *FAMILIES))
    runs = {family: _runs(keys.get(family, []), f"{where}.{family}") for family in FAMILIES}
    if not all(runs.values()):
        raise BenchmarkError(f"{where}: needs runs under {' and '.join(FAMILIES)}")
    return CurvePlan(_test_set(keys, where), runs)


def _tried(section: Any) -> TriedPlan:
    keys = _keys(section, "tried", ("manifest", "split", "runs"))
    return TriedPlan(_test_set(keys, "tried"), _runs(keys.get("runs", []), "tried.runs"))


def _test_set(keys: Mapping[str, Any], where: str) -> TestSet:
    split, lm = keys.get("split"), keys.get("lm")
    return TestSet(
        _path(keys.get("manifest"), f"{where}.manifest"),
        None if split is None else str(split),
        None if lm is None else _path(lm, f"{where}.lm"),
    )


def _runs(values: Any, where: str) -> tuple[Run, ...]:
    runs = []
    for number, run in enumerate(_list(values, where)):
        place = f"{where}[{number}]"
        run = _keys(run, place, ("label", "checkpoint", "note"))
        checkpoint = _path(run.get("checkpoint"), f"{place}.checkpoint")
        runs.append(
            Run(str(run.get("label", checkpoint.name)), checkpoint, str(run.get("note", "")))
        )
    return tuple(runs)


def _keys(values: Any, where: str, known: tuple[str, ...] | None = None) -> dict[Any, Any]:
    if not isinstance(values, dict):
        raise BenchmarkError(f"{where}: expected a mapping, got {type(values).__name__}")
    for key in values:
        if known is not None and key not in known:
            raise BenchmarkError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    return values


def _list(values: Any, where: str) -> list[Any]:
    if not isinstance(values, list):
        raise BenchmarkError(f"{where}: expected a list, got {type(values).__name__}")
    return values


def _path(text: Any, where: str) -> Path:
    if not isinstance(text, str) or not text or "\0" in text:
        raise BenchmarkError(f"{where}: expected a path, got {text!r}")
    expanded = os.path.expanduser(os.path.expandvars(text))
    if "$" in expanded:
        raise BenchmarkError(f"{where}: {text!r}: set the environment variable it names first")
    return Path(expanded)
