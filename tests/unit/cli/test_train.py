"""``sparsespeech train`` from the command line: a run, and one line for each kind of bad input."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import read_manifest, write_manifest
from tests.tone_corpus import tiny_recipe, write_corpus


def write_recipe(folder: Path, manifest: Path, **changes: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe(manifest, **changes)))
    return path


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command prints when it refuses ``arguments``."""
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("sparsespeech: error: ")
    assert shown.err.count("\n") == 1  # and no empty line before it, where a bar would be
    return shown.err.rstrip("\n")


def test_a_run_writes_checkpoints_log_recipe_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, write_corpus(tmp_path / "corpus", 8))
    run = tmp_path / "run"
    arguments = ["train", str(recipe), "--output", str(run), "--threads", "1"]
    assert main([*arguments, "--stop-after", "8"]) == 0
    assert "step-00000008" in capsys.readouterr().out
    assert main([*arguments, "--resume"]) == 0
    assert "step-00000030" in capsys.readouterr().out
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert yaml.safe_load((run / "recipe.yaml").read_text())["optimizer"]["steps"] == 30
    assert (run / "training.png").read_bytes().startswith(b"\x89PNG")


def test_the_checkpoint_is_named_though_its_picture_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "run" / "training.png"
    picture.mkdir(parents=True)  # no file can replace a folder
    recipe = write_recipe(tmp_path, write_corpus(tmp_path / "corpus", 2))
    arguments = ["train", str(recipe), "--output", str(tmp_path / "run"), "--threads", "1"]
    assert main([*arguments, "--stop-after", "1"]) == 2
    out, err = capsys.readouterr()
    assert "checkpoint: " in out
    assert f"{picture}: " in err
    assert [path.name for path in picture.parent.glob("*.partial")] == []


@pytest.mark.parametrize("option", [["--stop-after", "3"], ["--tensorboard"]])
def test_what_rounds_cannot_do_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    rounds = write_recipe(
        tmp_path,
        tmp_path / "m.jsonl",
        model={"architecture": "initial", "initial": "before"},
        pruning={"shape": "one_shot", "final_sparsity": 0.9},
        repeat_until={"wer_loss": 1.0},
    )
    line = failure(["train", str(rounds), *option, "--output", str(tmp_path / "run")], capsys)
    assert option[0] in line
    assert "repeat_until" in line


def test_unknown_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, tmp_path / "m.jsonl", pruning={"sparsity": 0.9})
    line = failure(["train", str(recipe)], capsys)
    assert "recipe.yaml" in line
    assert "pruning" in line


def test_impossible_sparsity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, tmp_path / "m.jsonl")
    line = failure(["train", str(recipe), "--set", "pruning.final_sparsity=1.5"], capsys)
    assert "pruning.final_sparsity" in line
    assert "1.5" in line


def test_a_manifest_line_pointing_nowhere_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "corpus", 3)
    (tmp_path / "corpus" / "0001.wav").unlink()
    run = tmp_path / "run"
    line = failure(["train", str(write_recipe(tmp_path, manifest)), "--output", str(run)], capsys)
    assert "manifest.jsonl, line 2" in line
    assert "0001.wav" in line
    assert not (run / "checkpoints").exists()


def test_a_manifest_without_utterances_or_without_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    recipe = write_recipe(tmp_path, tmp_path / "empty.jsonl")
    options = ["--output", str(tmp_path / "run")]
    assert "empty.jsonl" in failure(["train", str(recipe), *options], capsys)
    monkeypatch.delenv("MANIFESTS", raising=False)
    recipe = write_recipe(tmp_path, Path("$MANIFESTS/empty.jsonl"))
    assert "MANIFESTS" in failure(["train", str(recipe), *options], capsys)
    corpus = write_corpus(tmp_path / "corpus", 2)
    recipe = write_recipe(tmp_path, corpus)
    line = failure(["train", str(recipe), *options, "--set", "data.max_duration_s=0.01"], capsys)
    assert f"{corpus}: all 2 utterances are longer" in line


@pytest.mark.parametrize("lost", ["train", "development"])
def test_utterances_that_are_all_too_short_for_their_texts(
    lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_corpus(tmp_path / "good", 2)
    (tmp_path / "short").mkdir()
    utterances = [
        replace(utterance, text=text)
        for utterance, text in zip(
            read_manifest(write_corpus(tmp_path / "short", 5)), ["aa" * 99, "", *["a" * 99] * 3],
            strict=True,
        )
    ]  # fmt: skip
    short = tmp_path / "short" / "short.jsonl"
    write_manifest(short, utterances)
    manifests = {"train": good, "development": good, lost: short}
    data = {
        "train": [{"manifest": str(manifests["train"])}],
        "development": {"manifest": str(manifests["development"])},
        "symbols": " abcd",
    }
    recipe = write_recipe(tmp_path, good, data=data)
    line = failure(["train", str(recipe), "--output", str(tmp_path / "run")], capsys)
    assert f"{short}: no utterance is long enough for its transcript: " in line
    assert re.search(r"0000\.wav has \d+ frames, its text needs 395; ", line)
    assert re.search(r"0001\.wav has \d+ frames, it has no text; ", line)
    assert re.search(r"0002\.wav has \d+ frames, its text needs 197; and 2 more$", line)
    assert "0003.wav" not in line


def test_a_run_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, write_corpus(tmp_path / "corpus", 2))
    arguments = ["train", str(recipe), "--output", str(tmp_path / "run"), "--threads", "1"]
    assert main([*arguments, "--stop-after", "1"]) == 0
    capsys.readouterr()
    assert "use --resume to go on" in failure(arguments, capsys)
    assert "seed" in failure([*arguments, "--resume", "--set", "seed=7"], capsys)


def test_no_such_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert "english-small" in failure(["train", "nothing.yaml"], capsys)
