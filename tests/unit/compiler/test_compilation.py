"""Compiling by name, and the choice between two mappings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import sparsespeech as ss
from sparsespeech.compiler import compilation
from sparsespeech.compiler.compilation import compile_model, faster_mapping, modelled_latency
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import AcceleratorConfigError, CompileError, ModelFileError
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


@pytest.mark.parametrize("hidden", [8, 12])
def test_auto_is_the_mapping_with_the_lower_model(hidden: int) -> None:
    model = small_model(hidden=hidden)
    mappings: tuple[Mapping, ...] = ("paper", "interleaved")
    cycles = {name: modelled_latency(model, GRID, name).cycles for name in mappings}
    chosen = faster_mapping(model, GRID)
    assert cycles[chosen] == min(cycles.values())
    assert compile_model(model, GRID, mapping="auto").mapping == chosen


def test_equal_models_take_the_mapping_of_the_paper() -> None:
    assert faster_mapping(small_model(bidirectional=False), GRID) == "paper"


def test_auto_passes_over_a_mapping_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_interleaved(
        model: object, config: object, mapping: Mapping, host_layers: object = None
    ) -> object:
        if mapping == "paper":
            raise CompileError("too large")
        return replace(modelled_latency(small_model(), GRID, mapping), cycles=10**9)

    monkeypatch.setattr(compilation, "modelled_latency", only_interleaved)
    assert faster_mapping(small_model(), GRID) == "interleaved"


def test_model_that_fits_in_no_mapping() -> None:
    tiny = replace(GRID, cores=3, name="three-cores")
    with pytest.raises(CompileError, match="three-cores has 3"):
        faster_mapping(small_model(), tiny)


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AcceleratorConfigError, match="'fpga' does not exist; targets: "):
        compile_model(small_model(), "fpga")
    with pytest.raises(ModelFileError, match="no such model file"):
        compile_model("nothing.safetensors")
