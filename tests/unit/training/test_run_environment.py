"""A run that goes on elsewhere says so, since its last bits will differ."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparsespeech.acoustic_model.sparse_product import kernel_set, kernels_available
from sparsespeech.training.checkpoint import find_checkpoint, read_state
from sparsespeech.training.log_file import read_log
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import parse_recipe
from sparsespeech.training.run_environment import moved, run_environment
from tests.tone_corpus import tiny_recipe, write_corpus

HERE = {"kernels": "amx_bf16", "threads": 2}


def test_the_environment_names_kernels_threads_and_version() -> None:
    found = run_environment(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    assert found["kernels"] in ("torch", "avx512_bf16", "amx_bf16")
    assert (found["kernels"] == "torch") == (not kernels_available())


def test_kernels_that_are_turned_off_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "scalar")
    assert kernel_set() is None
    assert run_environment(torch.device("cpu"))["kernels"] == "torch"


def test_what_differs_is_named_and_what_was_not_recorded_is_not() -> None:
    assert moved(HERE, HERE) is None
    assert moved({}, HERE) is None
    assert moved({"threads": 2}, HERE) is None
    incident = moved({**HERE, "kernels": "avx512_bf16"}, HERE)
    assert incident is not None
    assert incident.record == {"moved": {"kernels": ["avx512_bf16", "amx_bf16"]}}
    assert "kernels was avx512_bf16, is amx_bf16" in incident.sentence


def test_a_damaged_record_is_no_environment() -> None:
    assert moved("amx", HERE) is None


def test_a_resumed_run_reports_where_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse_recipe(tiny_recipe(write_corpus(tmp_path / "corpus", 8)), "test")
    run = tmp_path / "run"
    train(recipe, run, stop_after=2)
    state = read_state(find_checkpoint(run))
    assert state["progress"]["environment"] == run_environment(torch.device("cpu"))
    train(recipe, run, resume=True, stop_after=3)
    assert not [row for row in read_log(run / "log.jsonl") if "moved" in row]
    monkeypatch.setattr("sparsespeech.machine.processor_name", lambda: "another processor")
    train(recipe, run, resume=True, stop_after=4)
    (report,) = [row for row in read_log(run / "log.jsonl") if "moved" in row]
    assert report["step"] == 3
    was = state["progress"]["environment"]["processor"]
    assert report["moved"] == {"processor": [was, "another processor"]}
    assert f"processor was {was}, is another processor" in capsys.readouterr().err
