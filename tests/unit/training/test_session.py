"""Each option of a recipe reaches the step that it is for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.progress import Progress

from sparsespeech.errors import CheckpointError
from sparsespeech.training.loop import train
from sparsespeech.training.optimizer import learning_rate
from sparsespeech.training.recipe import parse_recipe
from sparsespeech.training.session import Session
from tests.tone_corpus import tiny_recipe, write_corpus

STEPS = 20
OPTIMIZER = {
    "steps": STEPS,
    "learning_rate": 0.01,
    "warmup_steps": 5,
    "decay_start": 0.7,
    "bfloat16": False,
}
MODEL = {"hidden": 16, "dropout": 0.0, "features": {"context": 2}}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 8)


def values(manifest: Path, **changes: object) -> dict[str, Any]:
    plain = {"optimizer": OPTIMIZER, "model": MODEL, "augmentation": None, "pruning": None}
    return tiny_recipe(manifest, **{**plain, **changes})


def build(manifest: Path, folder: Path, **changes: object) -> Session:
    recipe = parse_recipe(values(manifest, **changes), "test")
    with Progress(disable=True) as progress:
        return Session.build(recipe, folder, progress, 0, 1)


def test_iterative_pruning_rewinds_the_learning_rate(manifest: Path, tmp_path: Path) -> None:
    pruning = {
        "final_sparsity": 0.8,
        "start": 0.25,
        "shape": "iterative",
        "stages": [{"sparsity": 0.5, "steps": 5}, {"sparsity": 0.8, "steps": 9}],
        "rewind_to": 0.5,
    }
    session = build(manifest, tmp_path, pruning=pruning)
    settings = session.recipe.optimizer
    for first in (5, 10):
        assert session.prune(first) is not None
        assert session.figures(first, 0.0)["learning_rate"] == learning_rate(10, settings)
        session.train_step(first)
        assert session.optimizer.param_groups[0]["lr"] == learning_rate(10, settings)
    assert session.prune(7) is None


def test_with_regrowth_the_network_computes_with_masked_weights(
    manifest: Path, tmp_path: Path
) -> None:
    pruning = {"final_sparsity": 0.8, "start": 0.1, "end": 0.6, "regrowth": {}}
    regrowing = build(manifest, tmp_path, pruning=pruning)
    zeroed = build(manifest, tmp_path)
    assert regrowing.masks is not None
    regrowing.masks.masks["layer2.weight"].zero_()
    zeroed.model.get_parameter("layer2.weight").data.zero_()
    dense = regrowing.model.get_parameter("layer2.weight").detach().clone()
    assert regrowing.train_step(3)[0] == zeroed.train_step(3)[0]
    after = regrowing.model.get_parameter("layer2.weight")
    assert float(after.detach().abs().min()) > 0  # dense weights go on
    assert not torch.equal(after, dense)  # and learn
    assert not regrowing.average.values["layer2.weight"].any()


def test_fixed_point_retraining_starts_and_freezes(manifest: Path, tmp_path: Path) -> None:
    session = build(manifest, tmp_path, fixed_point={"start": 0.5, "freeze": 0.75})
    retraining = session.fixed_point
    assert retraining is not None
    session.train_step(9)
    assert not retraining.observed
    session.development_figures(9)  # nothing observed is no failure
    session.train_step(10)
    assert retraining.observed
    first = retraining.tensors()["layer2"]
    session.train_step(14)
    second = retraining.tensors()["layer2"]
    assert not torch.equal(first, second)
    session.train_step(15)
    assert torch.equal(retraining.tensors()["layer2"][:4], second[:4])


def test_ranges_are_frozen_once_there_are_any(manifest: Path, tmp_path: Path) -> None:
    """Had every step between start and freeze been skipped, the next one observes."""
    session = build(manifest, tmp_path, fixed_point={"start": 0.5, "freeze": 0.75})
    assert session.fixed_point is not None
    _, incident = session.train_step(15)
    assert incident is None
    ranges = session.fixed_point.tensors()["layer2"]
    session.train_step(16)
    assert session.fixed_point.tensors()["layer2"][:4].tolist() == ranges[:4].tolist()


def test_development_speech_is_heard_with_the_roundings(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = build(manifest, tmp_path, fixed_point={"start": 0.0, "freeze": 0.5})
    assert session.fixed_point is not None
    session.train_step(0)
    ranges = session.fixed_point.tensors()["layer2"]
    rounded = session.development_figures(0)
    assert torch.equal(session.fixed_point.tensors()["layer2"], ranges)
    session.fixed_point = None
    assert session.development_figures(0)["development_loss"] != rounded["development_loss"]


def test_a_pupil_that_equals_its_teacher_stays(manifest: Path, tmp_path: Path) -> None:
    teacher = train(parse_recipe(values(manifest), "test"), tmp_path / "teacher", stop_after=2)
    session = build(
        manifest,
        tmp_path / "pupil",
        model={**MODEL, "initial": str(teacher)},
        distillation={"teacher": str(teacher), "weight": 1.0},
    )
    loss, _ = session.train_step(3)
    assert loss > 0.5  # the log shows CTC
    gradients = [p.grad for p in session.model.parameters() if p.grad is not None]
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-5
    other = build(manifest, tmp_path / "pupil", model={**MODEL, "initial": str(teacher)})
    other.train_step(3)
    gradients = [p.grad for p in other.model.parameters() if p.grad is not None]
    assert max(float(gradient.abs().max()) for gradient in gradients) > 1e-3


def test_another_teacher_is_another_run(manifest: Path, tmp_path: Path) -> None:
    plain = parse_recipe(values(manifest), "test")
    train(plain, tmp_path / "teacher", stop_after=1)
    pupil = values(manifest, distillation={"teacher": str(tmp_path / "teacher")})
    train(parse_recipe(pupil, "test"), tmp_path / "pupil", stop_after=4)
    train(plain, tmp_path / "teacher", resume=True, stop_after=2)
    with pytest.raises(CheckpointError, match="teacher was"):
        train(parse_recipe(pupil, "test"), tmp_path / "pupil", resume=True)
