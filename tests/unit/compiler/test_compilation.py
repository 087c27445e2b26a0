"""Compiling by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparsespeech as ss
from sparsespeech.compiler.compilation import compile_model
from sparsespeech.compiler.mapping_choice import Objective, choose_mapping
from sparsespeech.errors import AcceleratorConfigError, ModelFileError
from sparsespeech.model_file.writer import write_model
from tests.compiled_programs import GRID, small_model


def test_model_file_and_named_target(tmp_path: Path) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    program = ss.compile(tmp_path / "m.safetensors", "mau-stratix10")
    assert (program.config.name, program.mapping) == ("mau-stratix10", "paper")
    assert program.accelerated == ("layer1", "layer2", "layer3")


def test_layers_of_the_host_and_passes_are_handed_on() -> None:
    seen: list[str] = []
    program = compile_model(
        small_model(),
        GRID,
        mapping="interleaved",
        host_layers=("layer3", "layer4", "layer5"),
        after=lambda name, plan: seen.append(name),
    )
    assert program.accelerated == ("layer1", "layer2")
    assert program.mapping == "interleaved"
    assert seen[0] == "select_layers" and seen[-1] == "route"


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_auto_is_the_chosen_mapping(objective: Objective) -> None:
    model = small_model(hidden=12)
    program = compile_model(model, GRID, mapping="auto", objective=objective)
    assert program.mapping == choose_mapping(model, GRID, objective=objective).mapping


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AcceleratorConfigError, match="'fpga' does not exist; targets: "):
        compile_model(small_model(), "fpga")
    with pytest.raises(ModelFileError, match="no such model file"):
        compile_model("nothing.safetensors")
