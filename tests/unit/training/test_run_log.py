"""The run log: lines, resuming, the progress line, TensorBoard."""

import io
import json
import sys
from pathlib import Path

import pytest

from sparsespeech.errors import CheckpointError, MissingDependencyError
from sparsespeech.training.log_file import read_log
from sparsespeech.training.run_log import RunLog, training_progress


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_entries_of_a_killed_session_are_dropped(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, enabled=True, tensorboard=False)
    for step in (5, 10, 15):
        log.write(step, {"loss": 1.0 / step})
    resumed = RunLog(tmp_path, 10, enabled=True, tensorboard=False)
    assert steps(tmp_path) == [5, 10]
    resumed.write(15, {"loss": 0.5})
    assert steps(tmp_path) == [5, 10, 15]


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 5}\n{"step": 10}\n{"ste')
    RunLog(tmp_path, 10, enabled=True, tensorboard=False)
    assert steps(tmp_path) == [5, 10]


def test_damage_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"ste\n{"step": 10}\n')
    with pytest.raises(CheckpointError, match=r"log\.jsonl"):
        read_log(tmp_path / "log.jsonl")


def test_the_line_shows_what_is_known(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, enabled=False, tensorboard=False)
    assert log.line() == ""
    log.write(1, {"loss": 2.0, "sparsity": 0.5, "learning_rate": 0.1})
    log.write(2, {"development_wer": 12.34})
    assert log.line() == "loss 2.000  WER 12.3  sparsity 50.0%"
    assert not (tmp_path / "log.jsonl").exists()


def test_figures_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, enabled=True, tensorboard=False)
    log.write(1, {"loss": float("nan"), "sparsity": 0.5})
    assert log.line() == "sparsity 50.0%"
    assert "NaN" not in (tmp_path / "log.jsonl").read_text()
    assert "loss" not in read_log(tmp_path / "log.jsonl")[0]


def test_a_run_killed_before_its_first_checkpoint_starts_its_log_anew(tmp_path: Path) -> None:
    RunLog(tmp_path, 0, enabled=True, tensorboard=False).write(0, {"utterances": 3})
    RunLog(tmp_path, 0, enabled=True, tensorboard=False).write(0, {"utterances": 3})
    assert steps(tmp_path) == [0]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"sparsespeech\[tensorboard\]"):
        RunLog(tmp_path, 0, enabled=True, tensorboard=True)


class Screen(io.StringIO):
    """Stderr that is a terminal, or is none."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "visible", "shown"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_the_bar_is_for_terminals_and_reports_are_for_all(
    terminal: bool, visible: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    with training_progress(visible) as progress:
        task = progress.add_task("train", total=5)
        progress.update(task, completed=3, description="loss 2.000", refresh=True)
        progress.console.print("a step was skipped")
    assert ("loss 2.000" in screen.getvalue()) == shown
    assert "a step was skipped\n" in screen.getvalue()
    assert terminal or screen.getvalue() == "a step was skipped\n"


@pytest.mark.parametrize("first", [0, 10])
def test_tensorboard_shows_no_point_of_a_killed_session_twice(first: int, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, 0, enabled=True, tensorboard=True)
    for step in (5, 10, 15):
        log.write(step, {"loss": 1.0 / step})
    log.close()
    resumed = RunLog(tmp_path, first, enabled=True, tensorboard=True)
    resumed.write(15, {"loss": 0.5})
    resumed.close()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    points = [(point.step, point.value) for point in found]
    kept = [(step, pytest.approx(1.0 / step)) for step in (5, 10) if step <= first]
    assert points == [*kept, (15, 0.5)]
