"""Plans: everything that is written is read, and what is wrong is named."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from sparsespeech.benchmarks.accuracy_plan import Pair, Run, parse_plan, read_plan
from sparsespeech.cli.main import app
from sparsespeech.errors import BenchmarkError

PLAN = """
calibration: $MANIFESTS/train.jsonl
corpora:
  an4:
    manifest: $MANIFESTS/test.jsonl
    split: test
    lm: an4.arpa.gz
    pairs:
      - {seed: 3, dense: $RUNS/d3, sparse: $RUNS/s3}
      - {dense: d4, sparse: s4}
    single: {9054: $RUNS/a, density10: b}
equal_nonzeros:
  manifest: dev.jsonl
  dense_small: [{label: 96, checkpoint: small}]
  sparse_large: [{checkpoint: large}]
tried:
  manifest: dev.jsonl
  runs: [{label: x, checkpoint: y, note: z}]
"""


def test_a_whole_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFESTS", "/m")
    monkeypatch.setenv("RUNS", "/r")
    (tmp_path / "plan.yaml").write_text(PLAN)
    plan = read_plan(tmp_path / "plan.yaml")
    (corpus,) = plan.corpora
    assert corpus.name == "an4"
    assert corpus.test.manifest == Path("/m/test.jsonl")
    assert (corpus.test.split, corpus.test.lm) == ("test", Path("an4.arpa.gz"))
    assert corpus.pairs == (
        Pair(3, Path("/r/d3"), Path("/r/s3")),
        Pair(1, Path("d4"), Path("s4")),
    )
    assert corpus.single == (Run("9054", Path("/r/a")), Run("density10", Path("b")))
    assert plan.equal_nonzeros is not None
    assert plan.equal_nonzeros.runs == {
        "dense_small": (Run("96", Path("small")),),
        "sparse_large": (Run("large", Path("large")),),
    }
    assert plan.tried is not None
    assert plan.tried.runs == (Run("x", Path("y"), "z"),)
    assert plan.calibration == Path("/m/train.jsonl")


def corpus(**changes: Any) -> dict[str, Any]:
    section = {"manifest": "m", "pairs": [{"dense": "d", "sparse": "s"}], **changes}
    return {"corpora": {"an4": section}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "plan: expected a mapping"),
        ({}, "nothing to measure"),
        ({"corpus": {}}, "unknown key 'corpus'"),
        ({"corpora": {"AN 4": {}}}, "corpora.AN 4: the name becomes part"),
        (
            {"corpora": {"tried": corpus()["corpora"]["an4"]}},
            "corpora.tried: the result has a table",
        ),
        (
            corpus(single={"a": "x", "a_float": "y"}),
            "an4.single: two runs have the figure 'a_float'",
        ),
        (corpus(single={"a": "x", "a_lm": "y"}, lm="l"), "two runs have the figure 'a_lm'"),
        (corpus(single={1: "x", "1": "y"}), "two runs have the figure '1'"),
        (corpus(manifest=None), "corpora.an4.manifest: expected a path"),
        (corpus(pairs=[]), "names no pairs"),
        (corpus(pairs="x"), "corpora.an4.pairs: expected a list"),
        (corpus(pairs=[{"dense": "d"}]), r"pairs\[0\].sparse: expected a path"),
        (corpus(pairs=[{"dense": "d", "sparse": "s", "seed": True}]), "whole number"),
        (corpus(pairs=[{"dense": "d", "sparse": "s", "seed": 1}] * 2), "same seed"),
        (corpus(manifest="$NOT_SET_ANYWHERE/x"), "set the environment variable"),
        ({"equal_nonzeros": {"manifest": "m", "dense_small": []}}, "needs runs under"),
        ({"tried": {"manifest": "m", "runs": [{"label": "x"}]}}, r"runs\[0\].checkpoint"),
    ],
)
def test_what_is_wrong_is_named(values: Any, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        parse_plan(values)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe"])
def test_no_yaml_is_named_with_its_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"plan\.yaml: not YAML"):
        read_plan(path)


def test_the_plan_of_the_tutorial(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seeds, the runs of S3 and S4, four sizes of each family; its commands make them all."""
    page = (repository / "docs" / "tutorial-8-reproduce-table-iii.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    monkeypatch.setenv("MANIFESTS", "/m")
    monkeypatch.setenv("RUNS", "/r")
    plan = parse_plan(yaml.safe_load(text))
    an4, librispeech = plan.corpora
    assert [pair.seed for pair in an4.pairs] == [0, 1, 2, 3, 4]
    assert [run.label for run in an4.single] == ["9054", "density10"]
    assert librispeech.test.lm is not None
    assert plan.equal_nonzeros is not None
    assert [len(runs) for runs in plan.equal_nonzeros.runs.values()] == [4, 4]
    assert plan.tried is not None
    assert plan.tried.test.manifest == plan.equal_nonzeros.test.manifest == Path("/m/dev-an4.jsonl")


def test_the_commands_of_the_tutorial_take_their_options(repository: Path) -> None:
    page = (repository / "docs" / "tutorial-8-reproduce-table-iii.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line) for line in lines if line.strip().startswith("sparsespeech ")]
    assert len(commands) > 20
    for command in commands:
        words = [word for word in command[1:] if not word.startswith("$")]
        context = click.Context(typer.main.get_command(app))
        found: Any = context.command
        while hasattr(found, "resolve_command"):
            _, found, words = found.resolve_command(context, words)
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, " ".join(command)
