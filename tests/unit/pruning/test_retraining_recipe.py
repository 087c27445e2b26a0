"""The recipe that ``prune`` makes from a checkpoint's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.retraining_recipe import Retraining, retraining_recipe
from sparsespeech.training.recipe import parse_recipe
from tests.tone_corpus import tiny_recipe

PRUNING = {"final_sparsity": 0.8, "start": 0.0, "end": 0.5}


def own_recipe() -> dict[str, object]:
    """As a checkpoint holds it: every key, sections of earlier retraining too."""
    values = tiny_recipe(
        Path("m.jsonl"),
        augmentation={"start": 12},
        distillation={"teacher": "older"},
        optimizer={"steps": 400, "learning_rate": 0.003, "decay_start": 0.7},
    )
    return parse_recipe(values, "test").model_dump(mode="json")


def test_steps_rate_and_what_else_changes() -> None:
    own = own_recipe()
    values = retraining_recipe(Path("run/step-1"), own, PRUNING, Retraining())
    recipe = parse_recipe(values, "made")
    assert recipe.optimizer.steps == 200
    assert recipe.optimizer.learning_rate == pytest.approx(0.002)
    assert recipe.optimizer.warmup_steps == 10
    assert recipe.augmentation is not None
    assert recipe.augmentation.start == 0
    assert recipe.distillation is None
    assert recipe.fixed_point is None
    assert recipe.model.initial == str(Path("run/step-1").resolve())
    assert recipe.model.hidden == 16
    assert (recipe.logging.checkpoint_every, recipe.logging.evaluate_every) == (4, 15)
    assert own == own_recipe()  # the checkpoint's facts stay as they are


def test_what_was_asked_for() -> None:
    retraining = Retraining(30, 0.5, stages=(0.4, 0.8), distill=True)
    values = retraining_recipe(Path("c"), own_recipe(), PRUNING, retraining)
    recipe = parse_recipe(values, "made")
    assert (recipe.optimizer.steps, recipe.optimizer.learning_rate) == (30, 0.5)
    assert recipe.pruning is not None
    assert [(s.sparsity, s.steps) for s in recipe.pruning.stages] == [(0.4, 15), (0.8, 15)]
    assert recipe.distillation is not None
    assert recipe.distillation.teacher == recipe.model.initial
    assert recipe.logging.evaluate_every == 7


def test_what_cannot_be_trained() -> None:
    with pytest.raises(RecipeError, match="names no speech"):
        retraining_recipe(Path("c"), {"name": "mine"}, PRUNING, Retraining())
    with pytest.raises(RecipeError, match="3 stages need at least as many steps, got 2"):
        few = Retraining(2, stages=(0.1, 0.2, 0.3))
        retraining_recipe(Path("c"), own_recipe(), PRUNING, few)


def test_a_rate_or_number_of_steps_of_zero_is_not_the_default() -> None:
    for given, message in (
        (Retraining(learning_rate=0.0), "optimizer.learning_rate: .* greater than 0"),
        (Retraining(steps=0), "optimizer.steps: .* greater than or equal to 1"),
    ):
        values = retraining_recipe(Path("run"), own_recipe(), PRUNING, given)
        with pytest.raises(RecipeError, match=message):
            parse_recipe(values, "made")
