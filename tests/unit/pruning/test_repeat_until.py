"""S4's loop on a corpus of tones: rounds, their ends, and going on after a stop."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sparsespeech.cli.main import main
from sparsespeech.errors import CheckpointError, RecipeError
from sparsespeech.pruning import repeat_until as loop_module
from sparsespeech.pruning import scan_suggestion
from sparsespeech.pruning.repeat_settings import RepeatUntil
from sparsespeech.pruning.repeat_until import Loop, repeat_until
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.checkpoint_digest import checkpoint_digest
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Manifest and run of a network that has barely learnt."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("dense")
    manifest = write_corpus(folder / "corpus", 8)
    values = tiny_recipe(manifest, pruning=None)
    values["optimizer"] = {"steps": 6, "warmup_steps": 2}
    train(parse_recipe(values, "dense"), folder / "run")
    return manifest, folder / "run"


def loop_recipe(dense: tuple[Path, Path], **settings: Any) -> Recipe:
    manifest, run = dense
    values = tiny_recipe(manifest)
    values["model"] = {**values["model"], "initial": str(run)}
    values["optimizer"] = {"steps": 5, "warmup_steps": 1, "decay_start": 0.7}
    values["pruning"] = {"final_sparsity": 0.75, "start": 0.0, "end": 0.6, "updates": 2}
    values["repeat_until"] = {
        "wer_loss": 1000.0, "first_sparsity": 0.4, "step": 0.3, "utterances": 4,
        "sparsities": [0.5, 0.8, 0.95], **settings,
    }  # fmt: skip
    return parse_recipe(values, "loop")


def test_targets_of_the_rounds() -> None:
    settings = RepeatUntil(first_sparsity=0.5, step=0.5)
    assert [settings.target(n, 0.96) for n in (1, 2, 3, 4, 5, 6)] == [
        0.5, 0.75, 0.875, 0.9375, 0.96, 0.96,
    ]  # fmt: skip


def test_rounds_prune_further_by_the_scan_and_keep_zeros(
    dense: tuple[Path, Path], tmp_path: Path
) -> None:
    loop = repeat_until(loop_recipe(dense), tmp_path)
    assert [done.target for done in loop.rounds] == [0.4, 0.58, 0.706, 0.75]
    assert loop.ended == "final sparsity 0.75 reached"
    before = load_checkpoint(dense[1])
    for done in loop.rounds:
        folder = tmp_path / f"round-{done.number:02d}"
        scan = json.loads((folder / "sensitivity.json").read_text())
        assert scan["checkpoint_sha256"] == checkpoint_digest(before)
        suggested = scan["suggested"]["matrices"]
        assert scan["suggested"]["target"] == done.target
        assert suggested["layer6.weight"] == 0.0
        assert suggested["layer1.weight"] <= 0.85
        section = yaml.safe_load((folder / "recipe.yaml").read_text())["pruning"]
        assert section["keep_zeros"]  # not even for the first steps of the ramp do they learn
        after = load_checkpoint(Path(done.checkpoint))
        for name, sparsity in suggested.items():
            weight, earlier = after.weights[name], before.weights[name]
            assert bool((weight[earlier == 0] == 0).all())
            zeros = max(round(sparsity * weight.numel()), int((earlier == 0).sum()))
            assert int((weight == 0).sum()) == zeros
        # Zeros of earlier rounds stay where the new scan would ask for fewer.
        assert done.target - 5e-3 <= done.sparsity <= done.target + 0.05
        assert done.kept
        before = after
    assert loop.result(dense[1]) == before.path
    assert (tmp_path / "round-02" / "features").resolve() == (tmp_path / "features").resolve()


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["stopped", "moved"])
def test_a_stopped_loop_goes_on_to_the_same_end(
    dense: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    recipe = loop_recipe(dense, rounds=2)
    whole = repeat_until(recipe, tmp_path / "whole")
    calls: list[Path] = []

    def stopped(recipe: Recipe, run: Path, **options: Any) -> Path:
        calls.append(run)
        if len(calls) == 2:
            train(recipe, run, stop_after=2, **options)
            raise KeyboardInterrupt
        return train(recipe, run, **options)

    monkeypatch.setattr(loop_module, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        repeat_until(recipe, tmp_path / "stopped")
    monkeypatch.setattr(
        scan_suggestion, "scan_checkpoint", scan := Counted(scan_suggestion.scan_checkpoint)
    )
    (tmp_path / "stopped").rename(tmp_path / folder)
    after = repeat_until(recipe, tmp_path / folder)
    assert [run.name for run in calls] == ["round-01", "round-02", "round-02"]
    assert not scan.calls  # round 2 had begun to train by its own
    digests = [
        [checkpoint_digest(load_checkpoint(Path(done.checkpoint))) for done in loop.rounds]
        for loop in (whole, after)
    ]
    assert digests[0] == digests[1]
    strip = [[replace(done, checkpoint="") for done in loop.rounds] for loop in (whole, after)]
    assert strip[0] == strip[1]
    assert after.ended == whole.ended == "2 rounds done"


class Counted:
    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, []

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.function(*arguments)


def test_the_first_round_that_is_too_bad_ends_the_loop(
    dense: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter([20.0, 20.4, 20.5, 20.6])
    monkeypatch.setattr(loop_module, "development_wer", lambda *arguments: next(rates))
    loop = repeat_until(loop_recipe(dense, wer_loss=0.5), tmp_path / "here")
    assert [done.kept for done in loop.rounds] == [True, True, False]
    assert loop.ended == "WER 20.60 % is more than 0.5 points above 20.00 %"
    assert loop.result(dense[1]) == Path(loop.rounds[1].checkpoint)
    assert Loop(20.0, loop.rounds[2:]).result(dense[1]) == dense[1]
    again = repeat_until(loop_recipe(dense, wer_loss=0.5), tmp_path / "here")
    assert again == loop  # nothing to do
    (tmp_path / "here").rename(tmp_path / "there")  # nor where the folder was moved
    moved = repeat_until(loop_recipe(dense, wer_loss=0.5), tmp_path / "there")
    assert moved.result(dense[1]) == tmp_path / "there" / "round-02/checkpoints/step-00000005"
    assert moved.result(dense[1]).is_dir()


def test_another_loop_in_the_folder_is_refused(dense: tuple[Path, Path], tmp_path: Path) -> None:
    repeat_until(loop_recipe(dense, rounds=1), tmp_path)
    with pytest.raises(CheckpointError, match=r"repeat_until.wer_loss was 1000.0, is 1.0"):
        repeat_until(loop_recipe(dense, rounds=1, wer_loss=1.0), tmp_path)
    (tmp_path / "rounds.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot read the rounds"):
        repeat_until(loop_recipe(dense, rounds=1), tmp_path)


def test_a_loop_needs_pruning_and_a_checkpoint(dense: tuple[Path, Path], tmp_path: Path) -> None:
    values = loop_recipe(dense).model_dump(mode="json")
    for change in ({"pruning": None}, {"model": {**values["model"], "initial": None}}):
        with pytest.raises(RecipeError, match="the loop needs"):
            repeat_until(parse_recipe({**values, **change}, "r"), tmp_path)
    values["repeat_until"]["sparsities"] = [0.9, 0.5]
    with pytest.raises(RecipeError, match="sparsities must rise"):
        parse_recipe(values, "r")


def test_train_runs_the_rounds(
    dense: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(loop_recipe(dense, rounds=1).model_dump(mode="json")))
    command = ["train", str(recipe), "--output", str(tmp_path / "loop")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "40.00%" in shown
    assert "ended: 1 rounds done" in shown
    assert "round-01/checkpoints/step-00000005" in shown.replace("\n", "")
    assert main(command) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*command, "--resume"]) == 2


def test_prune_runs_the_rounds_without_a_recipe(
    dense: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "loop"
    command = ["prune", str(dense[1]), "--output", str(output), "--json"]
    options = ["--sparsity", "0.6", "--steps", "4", "--step-sparsity", "0.25"]
    rounds = ["--repeat-until-wer-loss", "1000", "--set", "repeat_until.sparsities=[0.5,0.9]"]
    assert main([*command, *options]) == 2
    assert "goes with --repeat-until-wer-loss" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )
    assert main([*command, *options, *rounds]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [done["target"] for done in found["rounds"]] == [0.5, 0.6]
    assert found["checkpoint"] == found["rounds"][1]["checkpoint"]
    assert main([*command, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_rounds_scan_in_the_structure_that_they_prune_in(
    dense: tuple[Path, Path], tmp_path: Path
) -> None:
    values = loop_recipe(dense, rounds=1).model_dump(mode="json")
    # 0.95 of the sparsities leaves no weight in a bank of 8: a matrix gets 7 of 8 at most.
    values["pruning"] |= {
        "structure": "bank:8",
        "final_sparsity": 0.7,
        "include": ["layer[235]", "weight_hh"],
        "exceptions": {"layer5": {"structure": "block:2x4"}, "layer3": 0.25},
    }
    values["repeat_until"]["first_sparsity"] = 0.25
    loop = repeat_until(parse_recipe(values, "r"), tmp_path)
    scan = json.loads((tmp_path / "round-01" / "sensitivity.json").read_text())
    assert scan["structure"] == "bank:8"
    own = {row["name"]: row["structure"] for row in scan["matrices"] if "structure" in row}
    assert own == {"layer5.weight": "block:2x4"}
    suggested = scan["suggested"]["matrices"]
    assert suggested["layer1.weight"] == suggested["layer4.directions.0.weight_ih"] == 0.0
    assert suggested["layer3.weight"] <= 0.25
    assert 0 < suggested["layer2.weight"] <= 0.875
    after = load_checkpoint(Path(loop.rounds[0].checkpoint)).weights
    zeros = round(8 * suggested["layer2.weight"])
    assert ((after["layer2.weight"] == 0).view(-1, 2, 8).sum(2) == zeros).all()


def test_structures_that_do_not_fit_fail_before_any_speech_is_read(
    dense: tuple[Path, Path], tmp_path: Path
) -> None:
    values = loop_recipe(dense).model_dump(mode="json")
    values["pruning"] |= {"structure": "bank:2"}
    with pytest.raises(RecipeError, match="leaves no weight in a bank of 2"):
        repeat_until(parse_recipe(values, "r"), tmp_path / "loop")
    assert not (tmp_path / "loop").exists()


def test_a_final_sparsity_out_of_reach_fails_before_the_first_round(
    dense: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = loop_recipe(dense).model_dump(mode="json")
    values["pruning"]["final_sparsity"] = 0.97  # 0.95 is the largest that is scanned
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(values))
    assert main(["train", str(recipe), "--output", str(tmp_path / "loop")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "repeat_until: a total sparsity of 0.97 is out of reach" in said
    assert re.search(r"come to 0\.9\d+ at most", said)
    assert not (tmp_path / "loop").exists()
    # A loop whose last round asks for less than the final sparsity is fine.
    values["repeat_until"]["rounds"] = 1
    assert len(repeat_until(parse_recipe(values, "r"), tmp_path / "loop").rounds) == 1


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (
            {"shape": "iterative", "stages": [{"sparsity": 0.75, "steps": 3}]},
            "out pruning.stages",
        ),
        ({"regrowth": {}}, "leave out pruning.regrowth"),
        ({"from_sensitivity": "s.json"}, "leave out pruning.from_sensitivity"),
    ],
)
def test_what_rounds_have_no_use_for_is_refused(
    dense: tuple[Path, Path], pruning: dict[str, Any], message: str
) -> None:
    values = loop_recipe(dense).model_dump(mode="json")
    values["pruning"] |= pruning
    with pytest.raises(RecipeError, match=message):
        parse_recipe(values, "r")
    parse_recipe({**values, "repeat_until": None}, "r")  # each is fine without rounds


def test_a_loop_goes_on_from_another_working_directory(
    dense: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    first = repeat_until(loop_recipe(dense, rounds=1), Path("loop"))
    monkeypatch.chdir(there)
    again = repeat_until(loop_recipe(dense, rounds=1), Path("../here/loop"))
    assert again == first
    assert load_checkpoint(again.result(dense[1])).step == 5
