"""``sparsespeech prune``: at once, in a ramp, in stages; and how bad input is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sparsespeech.cli.main import main
from sparsespeech.training.checkpoint import load_checkpoint, read_state, read_tensors
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import load_recipe, parse_recipe
from tests.suggested_sparsities import write_suggestion
from tests.tone_corpus import tiny_recipe, write_corpus


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("dense")
    values = tiny_recipe(write_corpus(folder / "corpus", 8), pruning=None)
    train(parse_recipe(values, "test"), folder / "run", stop_after=8)
    return folder / "run"


def prune(
    dense: Path, output: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    """Figures that the command prints."""
    command = ["prune", str(dense), "--output", str(output), "--threads", "1", "--json", *options]
    assert main(command) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """All of stderr of a command that refuses, on one line."""
    assert main(arguments) == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


def matrix_sparsities(figures: dict[str, Any]) -> dict[str, float]:
    return {row["matrix"].removesuffix(".weight"): row["sparsity"] for row in figures["matrices"]}


def test_at_once_without_training(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = prune(dense, tmp_path / "run", capsys, "--one-shot", "--steps", "0", "--sparsity=.75")
    before, after = load_checkpoint(dense), load_checkpoint(tmp_path / "run")
    assert (after.step, after.graph, after.labels) == (before.step, before.graph, before.labels)
    sparsities = matrix_sparsities(figures)
    assert sparsities["layer6"] == 0.0
    assert sparsities["layer1"] == pytest.approx(0.85, abs=0.001)
    assert sparsities["layer2"] == 0.75
    nonzeros = 0
    for name, weight in after.weights.items():
        kept = weight != 0
        assert torch.equal(weight[kept], before.weights[name][kept])
        nonzeros += int(kept.sum()) if weight.ndim == 2 else 0
    gone = before.weights["layer2.weight"][after.weights["layer2.weight"] == 0]
    left = after.weights["layer2.weight"][after.weights["layer2.weight"] != 0]
    assert float(gone.abs().max()) <= float(left.abs().min())
    assert figures["nonzeros"] == nonzeros
    assert figures["parameters"] == sum(w.numel() for w in before.weights.values())
    state = read_state(after.path)
    assert state["progress"]["sparsity"] > 0.7
    assert state["recipe"]["pruning"]["shape"] == "one_shot"
    masks = read_tensors(after.path, "model")["masks.layer2.weight"]
    assert torch.equal(masks, after.weights["layer2.weight"] != 0)


def test_in_a_ramp_with_every_option(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = ["--sparsity", "0.5", "--schedule", "linear", "--scope", "gate", "--steps", "12"]
    options += ["--structure", "bank:8", "--exceptions", "layer5=0.75", "--distill"]
    options += ["--learning-rate", "0.004", "--set", "logging.log_every=1"]
    figures = prune(dense, run, capsys, *options)
    assert figures["step"] == 12
    assert figures["development_wer"] is not None
    sparsities = matrix_sparsities(figures)
    assert sparsities["layer5"] == 0.75
    recurrent = load_checkpoint(run).weights["layer4.directions.0.weight_hh"]
    assert ((recurrent != 0).view(64, 2, 8).sum(2) == 4).all()
    recipe = load_recipe(str(run / "recipe.yaml"))
    assert recipe.pruning is not None
    assert recipe.distillation is not None
    assert (recipe.pruning.shape, recipe.pruning.scope) == ("linear", "gate")
    assert recipe.optimizer.learning_rate == 0.004
    assert recipe.model.initial == recipe.distillation.teacher
    assert Path(recipe.model.initial).parent == dense / "checkpoints"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert sum("mask_update" in row for row in log) >= 5


def test_in_stages_stopped_and_resumed(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--iterative", "0.4,0.6,0.8", "--steps", "9"]
    whole = prune(dense, tmp_path / "whole", capsys, *options)
    recipe = load_recipe(str(tmp_path / "whole" / "recipe.yaml"))
    train(recipe, tmp_path / "part", stop_after=4, threads=1)
    resumed = prune(dense, tmp_path / "part", capsys, "--resume")
    assert resumed["step"] == whole["step"] == 9
    assert matrix_sparsities(whole)["layer3"] == pytest.approx(0.8, abs=0.001)
    digests = [read_state(Path(f["checkpoint"]))["sha256"] for f in (whole, resumed)]
    assert digests[0] == digests[1]
    log = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "mask_update" in row] == [1, 4, 7]


def test_suggested_sparsities(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suggested = {"layer2.weight": 0.5, "layer3.weight": 0.25}
    file = write_suggestion(tmp_path / "s.json", suggested, list(suggested), target=0.6)
    options = ["--from", file, "--one-shot", "--steps", "0"]
    sparsities = matrix_sparsities(prune(dense, tmp_path / "run", capsys, *options))
    assert (sparsities["layer2"], sparsities["layer3"]) == (0.5, 0.25)
    assert sparsities["layer5"] == pytest.approx(0.6, abs=0.002)


def test_defaults_come_from_the_own_recipe(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = prune(dense, tmp_path / "run", capsys, "--sparsity", "0.6")
    assert figures["step"] == 15  # half of its 30
    recipe = load_recipe(str(tmp_path / "run" / "recipe.yaml"))
    assert recipe.optimizer.learning_rate == pytest.approx(0.01 * 2 / 3)
    assert recipe.name == "tiny-pruned"


def test_a_table_for_people(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["prune", str(dense), "--output", str(tmp_path / "run"), "--one-shot"]
    assert main([*command, "--steps", "0", "--sparsity", "0.5"]) == 0
    shown = capsys.readouterr().out
    assert "layer4.directions.1.weight_ih" in shown
    assert "50.00%" in shown
    assert str(tmp_path / "run" / "checkpoints") in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say how sparse"),
        (["--sparsity", "0.5", "--steps", "0"], "go with --one-shot"),
        (["--iterative", "0.5,x"], "list of sparsities"),
        (["--iterative", "0.5,0.8", "--one-shot"], "not both"),
        (["--iterative", "0.8,0.5"], "must rise"),
        (["--iterative", "0.3,0.5", "--steps", "1"], "2 stages need at least as many steps"),
        (["--sparsity", "0.5", "--structure", "bank"], "is no structure"),
        (["--sparsity", "0.5", "--structure", "4:4"], "must be below m"),
        (["--sparsity", "0.5", "--exceptions", "layer2"], "REGEX=SPARSITY"),
        (["--sparsity", "0.5", "--exceptions", "layer2=1.0"], "REGEX=SPARSITY"),
        (["--sparsity", "0.5", "--exceptions", "layer9=0.1"], "matches no weight matrix"),
        (["--sparsity", "0.5", "--set", "pruning.final=1"], "unknown key 'pruning.final'"),
        (["--sparsity", "0.5", "--from", "none.json"], "none.json"),
        (["--sparsity", "0.5", "--learning-rate", "0"], "learning_rate: Input should be greater"),
        (["--sparsity", "0.5", "--one-shot", "--schedule", "linear"], "leave it out with --one-sh"),
        (
            ["--iterative", "0.5,0.8", "--schedule", "cubic"],
            "out with --one-shot and --iter",
        ),
        (
            ["--iterative", "0.5,0.8", "--repeat-until-wer-loss", "1"],
            "repeat_until prunes in rounds of its own: leave out pruning.stages (--iterative)",
        ),
        (
            ["--sparsity", "0.5", "--repeat-until-wer-loss", "1", "--set", "pruning.regrowth={}"],
            "regrowth goes together neither with stages nor with keep_zeros",
        ),
        (
            ["--one-shot", "--steps=0", "--sparsity=.5", "--set", "pruning.updates=0"],
            "pruning.updates: Input should be greater than or equal to 1",
        ),
    ],
)
def test_bad_options(
    dense: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["prune", str(dense), "--output", str(tmp_path / "run"), *options]
    assert message in failure(command, capsys)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--learning-rate", "0.1"],
        ["--distill"],
        ["--repeat-until-wer-loss", "0.5"],
        ["--step-sparsity", "0.3"],
        ["--set", "optimizer.steps=7"],
    ],
)
def test_what_only_training_can_do_is_refused_without_steps(
    dense: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["prune", str(dense), "--output", str(run), "--one-shot", "--steps=0"]
    assert main([*command, "--sparsity=.5", "--set", "pruning.updates=3", *options]) == 2
    shown = capsys.readouterr().err
    assert f"0 steps train nothing: leave out {' '.join(options[:1])}" in shown
    assert shown.count("\n") == 1
    assert not run.exists()


def test_an_exception_of_ones_own_replaces_the_default_one(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--one-shot", "--steps=0", "--sparsity=.5", "--exceptions", "weight$=0.75"]
    options += ["--exceptions", r"^layer1\.=0.25", "--exceptions", "layer6=0.25"]
    sparsities = matrix_sparsities(prune(dense, tmp_path / "run", capsys, *options))
    assert sparsities["layer1"] == 0.25  # the last match, although its key is a default's
    assert sparsities["layer2"] == 0.75
    assert sparsities["layer6"] == pytest.approx(0.25, abs=0.01)
    assert sparsities["layer4.directions.0.weight_hh"] == 0.5


def test_suggestions_bring_their_structure(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suggested = {"layer2.weight": 0.5, "layer3.weight": 0.25}
    file = write_suggestion(
        tmp_path / "s.json", suggested, list(suggested), target=0.5, structure="bank:8"
    )
    options = ["--from", file, "--one-shot", "--steps", "0"]
    prune(dense, tmp_path / "run", capsys, *options)
    weight = load_checkpoint(tmp_path / "run").weights["layer3.weight"]
    assert ((weight == 0).view(32, 2, 8).sum(2) == 2).all()
    command = ["prune", str(dense), "--output", str(tmp_path / "other"), *options]
    message = failure([*command, "--structure", "unstructured"], capsys)
    assert "scanned as bank:8, but is to be pruned as unstructured" in message


def test_an_output_that_cannot_be_written_offers_nothing_to_resume(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    command = ["prune", str(dense), "--output", str(tmp_path / "file"), "--sparsity=.5"]
    message = failure([*command, "--one-shot", "--steps=0"], capsys)
    assert "choose another --output" in message
    assert "--resume" not in message


def test_an_existing_run_is_not_overwritten(
    dense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps in ("0", "4"):
        command = ["prune", str(dense), "--output", str(dense), "--sparsity=.5", "--one-shot"]
        assert "holds checkpoints already" in failure([*command, "--steps", steps], capsys)


def test_a_checkpoint_without_a_recipe_prunes_at_once_only(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = tmp_path / "imported"
    source = load_checkpoint(dense).path
    imported.mkdir()
    for file in source.iterdir():
        (imported / file.name).write_bytes(file.read_bytes())
    state = json.loads((source / "state.json").read_text())
    state["recipe"] = {"name": "mine"}
    (imported / "state.json").write_text(json.dumps(state))
    command = ["prune", str(imported), "--output", str(tmp_path / "run"), "--sparsity", "0.5"]
    assert "names no speech to train on" in failure(command, capsys)
    assert main([*command, "--one-shot", "--steps", "0"]) == 0


def test_the_bundled_recipe_of_stages_has_the_options_of_the_keynote() -> None:
    recipe = load_recipe("an4-iterative")
    assert recipe.pruning is not None
    assert recipe.pruning.shape == "iterative"
    assert sum(stage.steps for stage in recipe.pruning.stages) == recipe.optimizer.steps
    assert yaml.safe_dump(recipe.model_dump(mode="json"))
