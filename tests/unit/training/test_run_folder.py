"""Folders of training are told from models, and the run of a checkpoint is found from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.training.run_folder import is_checkpoint, run_folder


def test_training_folders_are_told_from_model_folders(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "state.json").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    assert is_checkpoint(tmp_path / "run")
    assert is_checkpoint(tmp_path / "step")
    assert not is_checkpoint(tmp_path / "model")
    assert not is_checkpoint(tmp_path / "model" / "model.safetensors")
    assert not is_checkpoint(tmp_path / "absent")


def test_a_bundled_name_wins_over_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(bundled_models()))
    (tmp_path / name / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_checkpoint(name)
    assert is_checkpoint(f"./{name}")


def test_the_run_is_found_from_inside_it_and_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = tmp_path / "run" / "checkpoints" / "step-00000007"
    step.mkdir(parents=True)
    (tmp_path / "best").symlink_to(step)
    assert run_folder(step) == run_folder(tmp_path / "best") == tmp_path / "run"
    for inside in (step, step.parent):
        monkeypatch.chdir(inside)
        assert run_folder(Path(step.relative_to(inside))) == tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    assert run_folder(step) == Path("run")
    assert run_folder(tmp_path / "run" / "packed" / "exported") is None
