"""Which changes of a recipe a resumed run refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sparsespeech.errors import CheckpointError
from sparsespeech.training.recipe import parse_recipe
from sparsespeech.training.run_identity import check_same_run, first_difference
from tests.tone_corpus import tiny_recipe

INPUTS = {"workers": 1, "corpora": "abc"}


def state_of(values: dict[str, Any]) -> dict[str, Any]:
    recipe = parse_recipe(values, "test").model_dump(mode="json")
    return {"recipe": recipe, "progress": dict(INPUTS)}


def test_a_key_that_came_after_the_run_began_has_its_default() -> None:
    values = tiny_recipe(Path("m.jsonl"))
    state = state_of(values)
    del state["recipe"]["pruning"]["scope"]
    check_same_run(Path("run"), state, parse_recipe(values, "test"), INPUTS)
    values["pruning"] = {**values["pruning"], "scope": "gate"}
    with pytest.raises(CheckpointError, match=r"pruning\.scope was 'layer', is 'gate'"):
        check_same_run(Path("run"), state, parse_recipe(values, "test"), INPUTS)


def test_other_inputs_are_refused_and_another_name_is_not() -> None:
    values = tiny_recipe(Path("m.jsonl"))
    recipe = parse_recipe({**values, "name": "other"}, "test")
    check_same_run(Path("run"), state_of(values), recipe, INPUTS)
    with pytest.raises(CheckpointError, match="corpora was 'abc', is 'xyz'"):
        check_same_run(Path("run"), state_of(values), recipe, {**INPUTS, "corpora": "xyz"})


def test_the_order_of_exceptions_counts_and_that_of_other_keys_does_not() -> None:
    values = tiny_recipe(Path("m.jsonl"))
    first, last = {"layer2": 0.5}, {"weight$": 0.7}
    values["pruning"] = {**values["pruning"], "exceptions": {**first, **last}}
    state = state_of(values)
    values["pruning"] = {**values["pruning"], "exceptions": {**last, **first}}
    with pytest.raises(CheckpointError, match=r"the order of pruning\.exceptions was \['layer2"):
        check_same_run(Path("run"), state, parse_recipe(values, "test"), INPUTS)
    assert first_difference({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}) is None
    assert first_difference({"a": 1}, {"a": 1, "b": 2}) == "b was None, is 2"


def test_files_that_may_move_are_not_compared_by_their_paths() -> None:
    values = tiny_recipe(Path("m.jsonl"))
    values["model"] = {**values["model"], "initial": "here/round-01"}
    values["pruning"] = {**values["pruning"], "from_sensitivity": "here/s.json"}
    inputs = {**INPUTS, "sensitivity": "abc"}
    state = {**state_of(values), "progress": dict(inputs)}
    values["model"] = {**values["model"], "initial": "there/round-01"}
    values["pruning"] = {**values["pruning"], "from_sensitivity": "there/s.json"}
    moved = parse_recipe(values, "test")
    check_same_run(Path("run"), state, moved, inputs, files_may_move=True)
    with pytest.raises(CheckpointError, match=r"model\.initial was"):
        check_same_run(Path("run"), state, moved, inputs)
    with pytest.raises(CheckpointError, match="sensitivity was 'abc', is 'xyz'"):
        check_same_run(
            Path("run"), state, moved, {**inputs, "sensitivity": "xyz"}, files_may_move=True
        )
    plain = parse_recipe({**values, "pruning": None}, "test")
    with pytest.raises(CheckpointError, match="pruning was"):
        check_same_run(Path("run"), state, plain, inputs, files_may_move=True)
