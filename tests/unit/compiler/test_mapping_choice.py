"""The choice between two mappings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler import mapping_choice
from sparsespeech.compiler.mapping_choice import MAPPINGS, choose_mapping, modelled_latency
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError, NoProgramError
from sparsespeech.graph import deepspeech
from tests.accelerator_plans import model_of_shapes
from tests.compiled_programs import GRID, small_model


@pytest.mark.parametrize("hidden", [8, 12])
def test_the_mapping_with_the_lower_model(hidden: int) -> None:
    model = small_model(hidden=hidden)
    found = choose_mapping(model, GRID)
    latencies = {name: modelled_latency(model, GRID, name) for name in MAPPINGS}
    assert latencies[found.mapping].cycles == min(one.cycles for one in latencies.values())
    for estimate in found.estimates:
        latency = latencies[estimate.mapping]
        assert estimate.latency_cycles == latency.cycles
        assert estimate.cycles_per_frame == latency.cycles_per_frame
        assert f"{estimate.mapping} {latency.cycles:,} cycles" in found.reason
    assert found.reason.startswith(f"{found.mapping} mapping chosen by modelled latency")


def test_one_utterance_alone_and_many_in_flight_ask_for_different_mappings() -> None:
    """At full size the pauses of a step are long, and a load a direction costs throughput."""
    model, config = model_of_shapes(deepspeech(2048)), TARGETS["mau-stratix10"]
    assert choose_mapping(model, config).mapping == "interleaved"
    found = choose_mapping(model, config, objective="throughput")
    assert found.mapping == "paper"
    cycles = {one.mapping: one.cycles_per_frame for one in found.estimates}
    assert cycles == {"paper": 1024 + 32, "interleaved": 2 * (512 + 32)}
    assert "paper 1,056 cycles, interleaved 1,088 cycles" in found.reason


def test_equal_models_take_the_mapping_of_the_paper() -> None:
    assert choose_mapping(small_model(bidirectional=False), GRID).mapping == "paper"


def test_a_mapping_that_does_not_fit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_interleaved(
        model: object, config: object, mapping: Mapping, host_layers: object = None
    ) -> object:
        if mapping == "paper":
            raise CompileError("too large")
        return replace(modelled_latency(small_model(), GRID, mapping), cycles=10**9)

    monkeypatch.setattr(mapping_choice, "modelled_latency", only_interleaved)
    found = choose_mapping(small_model(), GRID)
    assert found.mapping == "interleaved"
    assert found.estimates[0].misfit == "too large"
    assert "paper does not fit, interleaved 1,000,000,000 cycles" in found.reason


def test_model_that_fits_in_no_mapping() -> None:
    tiny = replace(GRID, cores=3, name="three-cores")
    with pytest.raises(CompileError, match="three-cores has 3"):
        choose_mapping(small_model(), tiny)


def test_model_that_no_program_runs() -> None:
    with pytest.raises(NoProgramError, match="projects its outputs"):
        choose_mapping(small_model(projection=4), GRID)
