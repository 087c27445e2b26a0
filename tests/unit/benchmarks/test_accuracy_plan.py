"""Plans: everything that is written is read, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sparsespeech.benchmarks.accuracy_plan import Pair, Run, parse_plan, read_plan
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
