"""A run meets NaN, exploding gradients and impossible texts, and does what the policy says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.progress import Progress
from torch import Tensor

from sparsespeech.errors import TrainingError
from sparsespeech.training import session as session_module
from sparsespeech.training.checkpoint import find_checkpoint, list_checkpoints, load_checkpoint
from sparsespeech.training.loop import train
from sparsespeech.training.policy import NORMS_NEEDED
from sparsespeech.training.recipe import Recipe, parse_recipe
from sparsespeech.training.session import Session
from tests.sick_recording import make_sick
from tests.tone_corpus import tiny_recipe, write_corpus

STEPS = 24
SICK = 5  # number of an utterance


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 12)


@pytest.fixture
def sick(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One utterance has a frame of NaN in every batch; its name."""
    return make_sick(SICK, manifest, monkeypatch)


def recipe(manifest: Path, **changes: object) -> Recipe:
    optimizer = {"steps": STEPS, "learning_rate": 0.01, "warmup_steps": 5, "decay_start": 0.7}
    return parse_recipe(tiny_recipe(manifest, **{"optimizer": optimizer, **changes}), "test")


def build(recipe: Recipe, folder: Path) -> Session:
    with Progress(disable=True) as progress:
        return Session.build(recipe, folder, progress, 0, 1)


def log_of(run: Path, key: str) -> dict[int, Any]:
    """Entries of the log under ``key``, by step."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {row["step"]: row[key] for row in rows if key in row}


def steps_with(utterance: int, session: Session) -> list[int]:
    plan = session.loader.plan
    return [step for step in range(STEPS) if utterance in plan.at(step).utterances]


def everything(session: Session) -> list[Tensor]:
    """All that an optimizer step moves."""
    moments = [m for state in session.optimizer.state.values() for m in state.values()]
    tensors = [*session.model.parameters(), *session.average.values.values(), *moments]
    return [tensor.detach().clone() for tensor in tensors]


@pytest.mark.parametrize(
    "changes",
    [{}, {"fixed_point": {"start": 0.2, "freeze": 0.8}}],
    ids=["float", "fixed point"],
)
def test_a_sick_utterance_is_named_and_its_steps_are_left_out(
    manifest: Path,
    tmp_path: Path,
    sick: str,
    changes: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    checked = recipe(manifest, **changes)
    train(checked, tmp_path / "run")
    expected = [step + 1 for step in steps_with(SICK, build(checked, tmp_path / "other"))]
    assert len(expected) > 3
    skipped = log_of(tmp_path / "run", "skipped")
    assert list(skipped) == expected
    assert all(names == [sick] for names in skipped.values())
    said = capsys.readouterr().err
    assert f"step {expected[0]}: skipped, loss not finite: {sick}" in said
    weights = load_checkpoint(tmp_path / "run").weights
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_a_skipped_step_moves_nothing(manifest: Path, tmp_path: Path, sick: str) -> None:
    session = build(recipe(manifest), tmp_path)
    good, bad = (
        next(step for step in range(STEPS) if (step in steps_with(SICK, session)) == wanted)
        for wanted in (False, True)
    )
    session.train_step(good)
    before = everything(session)
    session.train_step(bad)
    for was, now in zip(before, everything(session), strict=True):
        assert torch.equal(was, now)
    session.train_step(good)
    assert not torch.equal(before[0], everything(session)[0])


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_skipped_step_moves_no_range(
    manifest: Path,
    tmp_path: Path,
    sick: str,
    gradients_times: Callable[[int, float], None],
    what: str,
) -> None:
    """A sick frame stops half way; an infinite gradient comes when all ranges have moved."""
    session = build(recipe(manifest, fixed_point={"start": 0.0, "freeze": 0.9}), tmp_path)
    assert session.fixed_point is not None
    sick_steps = steps_with(SICK, session)
    first, second, third = [step for step in range(STEPS) if step not in sick_steps][:3]
    gradients_times(1 if what == "gradient" else STEPS, float("inf"))
    session.train_step(first)
    before = session.fixed_point.tensors()
    _, incident = session.train_step(second if what == "gradient" else sick_steps[0])
    assert incident is not None
    after = session.fixed_point.tensors()
    assert all(torch.equal(after[name], state) for name, state in before.items())
    session.train_step(third)
    after = session.fixed_point.tensors()
    assert all(after[name][3] > state[3] for name, state in before.items())


def test_ruined_weights_are_not_saved(manifest: Path, tmp_path: Path) -> None:
    """From step 6 on nothing is finite: the run ends, its last checkpoint is from before."""

    def ruined(self: Session, step: int) -> tuple[float, Any]:
        if step == 6:
            self.model.get_parameter("layer2.weight").data.fill_(torch.nan)
        return original(self, step)

    original = Session.train_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "train_step", ruined)
        with pytest.raises(TrainingError, match=r"step 15: the run diverged, 10 skipped"):
            train(recipe(manifest, pruning=None), tmp_path)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000004"]


def test_a_session_that_ends_in_skipped_steps_keeps_the_last_good_checkpoint(
    manifest: Path, tmp_path: Path, gradients_times: Callable[[int, float], None]
) -> None:
    logging = {**tiny_recipe(manifest)["logging"], "keep_checkpoints": 1}  # type: ignore[dict-item]
    checked = recipe(manifest, logging=logging)
    gradients_times(5, float("inf"))
    train(checked, tmp_path, stop_after=6)
    names = [folder.name for folder in list_checkpoints(tmp_path)]
    assert names == ["step-00000004", "step-00000006"]  # 6 holds the counter of skipped steps
    train(checked, tmp_path, resume=True, stop_after=10)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000010"]


def test_the_policy_of_the_recipe_counts(manifest: Path, tmp_path: Path, sick: str) -> None:
    strict = recipe(manifest, policy={"skip_non_finite": False})
    with pytest.raises(TrainingError, match=sick):
        train(strict, tmp_path)


@pytest.fixture
def gradients_times(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Multiply the gradients of one backward pass, counted from 0."""

    def choose(step: int, factor: float) -> None:
        passed = [0]

        def scale(parameters: list[Tensor], workers: int) -> None:
            if passed[0] == step:
                for parameter in parameters:
                    assert parameter.grad is not None
                    parameter.grad *= factor
            passed[0] += 1

        monkeypatch.setattr(session_module, "average_gradients", scale)

    return choose


def test_an_exploding_gradient_is_clipped_and_reported(
    manifest: Path,
    tmp_path: Path,
    gradients_times: Callable[[int, float], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    gradients_times(NORMS_NEEDED, 1e6)
    train(recipe(manifest), tmp_path)
    reported = log_of(tmp_path, "explosion")
    assert list(reported) == [NORMS_NEEDED + 1]
    facts = reported[NORMS_NEEDED + 1]
    assert facts["gradient_norm"] > 1e4 * facts["median"]
    assert 1 <= len(facts["utterances"]) <= 5
    assert all(name.endswith(".wav") for name in facts["utterances"])
    assert "against a median of" in capsys.readouterr().err
    weights = load_checkpoint(tmp_path).weights
    assert max(float(weight.abs().max()) for weight in weights.values()) < 10


def test_an_infinite_gradient_is_left_out(
    manifest: Path, tmp_path: Path, gradients_times: Callable[[int, float], None]
) -> None:
    gradients_times(3, float("inf"))
    checked = recipe(manifest)
    train(checked, tmp_path / "run", stop_after=8)
    batch = build(checked, tmp_path / "other").loader.plan.at(3).utterances
    named = [str(manifest.parent / f"{number:04d}.wav") for number in sorted(batch)]
    assert log_of(tmp_path / "run", "skipped") == {4: named}
    assert log_of(tmp_path / "run", "not_finite") == {4: "gradient"}


def test_resuming_remembers_what_was_skipped(manifest: Path, tmp_path: Path, sick: str) -> None:
    checked = recipe(manifest)
    train(checked, tmp_path / "whole")
    for stop in (9, 17, None):
        train(checked, tmp_path / "parts", resume=True, stop_after=stop)
    for key in ("skipped", "mask_update", "development_loss"):
        assert log_of(tmp_path / "parts", key) == log_of(tmp_path / "whole", key)
    files = [find_checkpoint(tmp_path / name) for name in ("whole", "parts")]
    first, second = ((folder / "model.safetensors").read_bytes() for folder in files)
    assert first == second


def test_texts_longer_than_their_frames_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_corpus(tmp_path / "corpus", 6)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[2]["text"] = "abcc" * 50
    rows[4]["text"] = ""
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(recipe(manifest), tmp_path / "run", stop_after=1)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    named = [row["left_out"] for row in log if "left_out" in row]
    # The development speech is the same manifest: each is left out of both.
    assert [Path(row["path"]).name for row in named] == ["0002.wav", "0004.wav"] * 2
    assert named[0]["frames_needed"] == 250  # 200 characters and 50 repeats
    assert named[0]["frames"] < 250
    said = capsys.readouterr().err
    assert "its text needs 250" in said
    assert "it has no text" in said
