"""Plans as a person reads them, and the grid that they lie on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.passes.place import place, snake
from sparsespeech.compiler.passes.split import split
from sparsespeech.errors import CompileError
from sparsespeech.graph import deepspeech
from tests.accelerator_plans import connected, mapped, model_of_shapes

MAU = TARGETS["mau-stratix10"]


def test_a_plan_shows_itself_as_json() -> None:
    plan = connected(mapped(model_of_shapes(deepspeech(64)), MAU, "paper"))
    shown = json.loads(json.dumps(plan.to_json()))
    assert shown["host_layers"] == ["layer5", "layer6"]
    assert shown["chains"][0]["matrix"] == "layer1.weights"
    assert shown["chains"][0]["cores"] == [0]
    assert sum(chain["rows"] for chain in shown["chains"] if chain["role"] == "linear") == 256
    assert shown["word_count"][0][0]["fewest"] > 0


def test_the_path_turns_round_at_the_ends_of_rows() -> None:
    grid = replace(MAU, grid_rows=3, grid_columns=3, cores=8)
    assert snake(grid) == (
        (0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0), (2, 0), (2, 1),
    )  # fmt: skip


def test_input_tails_and_recurrent_tails_are_neighbours_on_the_path() -> None:
    plan = mapped(model_of_shapes(deepspeech(2048)), MAU, "paper")
    cores = {chain.name: chain.cores for chain in plan.chains}
    assert cores["layer1.0"] == (0,)
    assert cores["layer2.1"] == (4, 5)
    assert cores["layer4.forward.input.0"] == (10, 11, 12, 13)
    assert cores["layer4.forward.recurrent.0"] == (15, 14)
    assert cores["layer4.forward.input.1"] == (16, 17, 18, 19)
    assert cores["layer4.backward.recurrent.1"] == (33, 32)


def test_interleaved_directions_share_their_cores() -> None:
    plan = mapped(model_of_shapes(deepspeech(2048)), MAU, "interleaved")
    cores = {chain.name: chain.cores for chain in plan.chains}
    for group in range(4):
        for kind in ("input", "recurrent"):
            name = f"{kind}.{group}"
            assert cores[f"layer4.forward.{name}"] == cores[f"layer4.backward.{name}"]


def test_more_chains_than_cores_are_an_error() -> None:
    plan = mapped(model_of_shapes(deepspeech(384)), MAU, "paper")
    wide = split(replace(plan, row_groups={**plan.row_groups, "layer1": 20}))
    with pytest.raises(CompileError, match=r"cores are needed, mau-stratix10 has 34"):
        place(wide)
