"""Recipes that hypothesis draws: every way to prune, with any optimizer and average.

One that the corpus of tones in a folder trains takes a quarter of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from sparsespeech.training.recipe import Recipe, parse_recipe
from tests.pruning_stairs import FINAL
from tests.tone_corpus import tiny_recipe

STEPS = 12
STRUCTURES = ["unstructured", "bank:4", "row-cap:3/8", "1:4", "block:2x4"]
SHAPES: list[dict[str, Any]] = [
    {"shape": "cubic"},
    {"shape": "linear", "initial_sparsity": 0.3},
    {"shape": "threshold", "threshold": {"steepens_at": 0.3}},
    {"shape": "one_shot"},
    {
        "shape": "iterative",
        "stages": [{"sparsity": 0.4, "steps": 3}, {"sparsity": FINAL, "steps": 4}],
        "rewind_to": 0.5,
    },
    {"shape": "function", "function": "tests.pruning_stairs:climb"},
]
FIXED_POINT: list[dict[str, Any] | None] = [
    None,
    {"start": 0.3, "freeze": 0.8},
    {"start": 0.3, "freeze": 0.8, "weight_bits": 12, "activation_bits": 16},
]


@dataclass(frozen=True)
class Course:
    """What is drawn: changes of a recipe, where a session stops, scales of the integers."""

    changes: dict[str, Any]
    pruned_before: bool  # the run begins with a network that has zeros
    stop: int
    per_row: bool


@st.composite
def courses(draw: st.DrawFn, shapes: list[dict[str, Any]]) -> Course:
    shape = draw(st.sampled_from(shapes))
    scope = draw(st.sampled_from(["layer", "gate", "global"]))
    pruning = {
        **shape,
        "final_sparsity": FINAL,
        "start": 0.2,
        "end": 0.7,
        "updates": draw(st.sampled_from([2, 6])),
        "structure": draw(st.sampled_from(STRUCTURES)),
        "scope": scope,
        "exceptions": {},
        "keep_zeros": draw(st.booleans()),
    }
    if "stages" not in shape and not pruning["keep_zeros"] and draw(st.booleans()):
        pruning["regrowth"] = {"until": draw(st.sampled_from([None, 0.9]))}
    optimizer = {
        "steps": STEPS,
        "warmup_steps": 2,
        "decay_start": 0.8,
        "learning_rate": draw(st.sampled_from([0.001, 0.03])),
        "weight_decay": draw(st.sampled_from([0.0, 1.0])),
        "betas": draw(st.sampled_from([(0.9, 0.98), (0.0, 0.5)])),
        "gradient_clip": draw(st.sampled_from([0.1, 5.0])),
        "average_decay": draw(st.sampled_from([0.0, 0.8, 0.998])),
        "bfloat16": draw(st.booleans()),
    }
    fixed_point = draw(st.sampled_from(FIXED_POINT))
    return Course(
        {"pruning": pruning, "optimizer": optimizer, "fixed_point": fixed_point},
        pruned_before=draw(st.booleans()),
        stop=draw(st.integers(1, STEPS)),
        per_row=fixed_point is None and draw(st.booleans()),
    )


def recipe_of(course: Course, home: Path) -> Recipe:
    """The recipe for the corpus in ``home``; a network pruned before is in ``home/pruned``."""
    model: dict[str, Any] = {"hidden": 8, "dropout": 0.1, "features": {"context": 2}}
    if course.pruned_before:
        model["initial"] = str(home / "pruned")
    log = {"checkpoint_every": STEPS, "evaluate_every": STEPS, "evaluate_utterances": 1}
    values = {"augmentation": None, "model": model, "logging": log, **course.changes}
    return parse_recipe(tiny_recipe(home / "corpus" / "manifest.jsonl", **values), "test")
