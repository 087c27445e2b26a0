"""``sparsespeech sensitivity`` from a checkpoint on disk to a file that recipes read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sparsespeech.cli.main import main
from sparsespeech.pruning import scan_suggestion
from sparsespeech.pruning.scan_sample import ScanSample
from sparsespeech.training.checkpoint import load_checkpoint
from tests.random_checkpoints import random_checkpoint, write_checkpoint
from tests.tone_corpus import write_corpus

OPTIONS = ("--sparsities", "0.5,0.9", "--utterances", "3", "--target", "0.6")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 5, letters="ab")


@pytest.fixture
def run_folder(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose recipe names its development set by an environment variable."""
    torch.set_num_threads(1)
    monkeypatch.setenv("MANIFESTS", str(manifest.parent))
    checkpoint = random_checkpoint(hidden=6, context=2, coefficients=26, labels=3)
    development = {"manifest": "$MANIFESTS/manifest.jsonl", "split": None}
    recipe = {"name": "tiny", "data": {"development": development}}
    write_checkpoint(tmp_path / "run", checkpoint, recipe)
    return tmp_path / "run"


def sensitivity(*arguments: object) -> int:
    return main(["sensitivity", *map(str, arguments)])


def test_table_file_and_picture(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensitivity(run_folder, *OPTIONS) == 0
    shown = capsys.readouterr().out
    for words in ("layer4.directions.1.weight_hh", "at 90 %", "suggested: 60.", "on 3 utterances"):
        assert words in shown
    folder = run_folder / "sensitivity"
    assert sorted(path.name for path in folder.iterdir()) == ["sensitivity.json", "sensitivity.png"]
    values = json.loads((folder / "sensitivity.json").read_text())
    suggested = values["suggested"]["matrices"]
    checkpoint = load_checkpoint(run_folder)
    sizes = {name: t.numel() for name, t in checkpoint.weights.items() if t.ndim == 2}
    assert set(suggested) == set(sizes)
    assert suggested["layer6.weight"] == 0.0
    assert 0 < suggested["layer1.weight"] <= 0.85
    zeros = sum(sparsity * sizes[name] for name, sparsity in suggested.items())
    assert zeros / sum(sizes.values()) == pytest.approx(0.6, abs=1e-3)
    assert values["utterances"] == 3
    assert [point["sparsity"] for point in values["matrices"][0]["points"]] == [0.5, 0.9]


def test_another_target_measures_nothing_anew(
    run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sensitivity(run_folder, *OPTIONS, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(ScanSample, "loss", None)  # a call would fail
    limits = ("--limit", "^layer2=0.5", "--limit", "layer6=0.8", "--smallest", "0.1")
    assert sensitivity(run_folder, *OPTIONS[:4], "--target", "0.7", *limits, "--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert second["matrices"] == first["matrices"]
    suggested = second["suggested"]["matrices"]
    assert second["suggested"]["target"] == 0.7
    assert 0.1 <= suggested["layer2.weight"] <= 0.5
    assert 0.1 <= suggested["layer6.weight"] <= 0.8


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "0.95"),  # more than the largest sparsity measured
        ("--target", "0.88"),  # less than that, but layer6 stays dense and layer1 keeps 15 %
        ("--target", "0.6", "--sparsities", "0.5"),
        ("--target", "0.6", "--largest", "0.5"),
        ("--target", "0.6", "--limit", ".=0.55"),
        ("--target", "0.6", "--limit", "layer4=0"),
        ("--target", "0.1", "--smallest", "0.4"),
    ],
)
def test_a_target_out_of_reach_is_told_before_anything_is_measured(
    options: tuple[str, ...],
    run_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan_suggestion, "choose_sample", None)  # a call would fail
    assert sensitivity(run_folder, *OPTIONS, *options) == 2
    assert "a total sparsity of 0." in capsys.readouterr().err
    assert not (run_folder / "sensitivity").exists()


def test_points_of_an_earlier_scan_are_within_reach(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sensitivity(run_folder, *OPTIONS) == 0
    options = (*OPTIONS, "--sparsities", "0.5", "--largest", "0.9", "--json")
    capsys.readouterr()
    assert sensitivity(run_folder, *options) == 0
    assert json.loads(capsys.readouterr().out)["suggested"]["total"] == pytest.approx(0.6, abs=1e-3)


def test_sparsities_in_any_order(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for number, sparsities in enumerate(("0.5,0.9", "0.9,0.5,0.9")):
        output = ("--output", run_folder / str(number), "--json")
        assert sensitivity(run_folder, *OPTIONS, "--sparsities", sparsities, *output) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]


def test_another_manifest_needs_another_folder(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sensitivity(run_folder, *OPTIONS) == 0
    other = write_corpus(tmp_path / "other", 5, seed=9, letters="ab")
    assert sensitivity(run_folder, *OPTIONS, "--manifest", other) == 2
    assert "another sample of utterances" in capsys.readouterr().err
    assert sensitivity(run_folder, *OPTIONS, "--manifest", other, "--output", tmp_path / "x") == 0
    step = run_folder / "checkpoints" / "step-00000007"
    assert sensitivity(step, *OPTIONS, "--seed", "3") == 2  # the run's own folder again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sparsities", "0.5,x"), "0.5,x"),
        (("--sparsities", "0.5,1.0"), "between 0 and 1"),
        (("--limit", "layer9=0.5"), "matches no weight matrix"),
        (("--limit", "layer1"), "is not REGEX=SPARSITY"),
        (("--smallest", "0.9", "--largest", "0.5"), "above the largest"),
        (("--target", "0.95"), "is out of reach"),
        (("--structure", "blocks"), "no structure"),
        (("--split", "test"), "no utterances of split 'test'"),
    ],
)
def test_impossible_wishes(
    run_folder: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sensitivity(run_folder, *OPTIONS, *options) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("sparsespeech: error: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_a_recipe_without_a_development_set(
    tmp_path: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run_folder / "checkpoints" / "step-00000007" / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "recipe": {"name": "imported"}}))
    assert sensitivity(run_folder, *OPTIONS) == 2
    assert "names no development set; give --manifest" in capsys.readouterr().err
