"""Compiling by name, and the choice between two mappings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sparsespeech as ss
from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.benchmarks.pruned_patterns import with_pattern
from sparsespeech.compilation import Objective, choose_program, compile_model
from sparsespeech.compiler import lower as lowering
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import MAPPINGS, Mapping
from sparsespeech.errors import (
    AcceleratorConfigError,
    CompileError,
    ModelFileError,
    NoProgramError,
)
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Linear, Lstm, Output
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.writer import write_model
from sparsespeech.simulator.simulator import Simulator
from tests.compiled_programs import GRID, small_model
from tests.random_models import random_model_of_graph

ONLY_INTERLEAVED = replace(GRID, cores=8, weight_words=6)  # hidden 8: the paper's needs 10 cores
ONLY_PAPER = replace(GRID, weight_words=3)  # hidden 12: a step of two directions has 4 words


def test_model_file_and_named_target(tmp_path: Path) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    program = ss.compile(tmp_path / "m.safetensors", "mau-stratix10")
    assert (program.config.name, program.mapping) == ("mau-stratix10", "paper")
    assert program.accelerated == ("layer1", "layer2", "layer3")


@pytest.mark.parametrize("mapping", ["interleaved", "auto"])
def test_layers_of_the_host_and_passes_are_handed_on(mapping: str) -> None:
    seen: list[tuple[Mapping, str]] = []
    program = compile_model(
        small_model(),
        GRID,
        mapping=mapping,  # type: ignore[arg-type] # one of the choices
        host_layers=("layer3", "layer4", "layer5"),
        after=lambda name, plan: seen.append((plan.mapping, name)),
    )
    assert program.accelerated == ("layer1", "layer2")
    tried = MAPPINGS if mapping == "auto" else ("interleaved",)
    names = [step.__name__ for step in lowering.PASSES]
    assert seen == [(one, name) for one in tried for name in names]


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AcceleratorConfigError, match="'fpga' does not exist; targets: "):
        compile_model(small_model(), "fpga")
    with pytest.raises(ModelFileError, match="no such model file"):
        compile_model("nothing.safetensors")


# ---- the better of two mappings ------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [8, 12])
def test_latency_is_that_of_a_simulated_second(hidden: int) -> None:
    model = small_model(hidden=hidden)
    program, found = choose_program(model, GRID)
    cycles = {name: Simulator(lower(model, GRID, name)).timing([[50]]).cycles for name in MAPPINGS}
    assert {one.mapping: one.cycles for one in found.counts} == cycles
    assert program.mapping == found.mapping == min(MAPPINGS, key=lambda name: cycles[name])
    assert (found.utterances, found.frames) == (1, 50)
    assert found.reason == (
        f"{found.mapping} mapping chosen by simulated latency of 50 frames: "
        f"paper {cycles['paper']:,} cycles, interleaved {cycles['interleaved']:,} cycles"
    )
    assert compile_model(model, GRID, mapping="auto").mapping == found.mapping


@pytest.mark.parametrize("hidden", [8, 12])
def test_throughput_is_that_of_utterances_in_flight(hidden: int) -> None:
    """The memory of the sequence holds 128 frames, or 85: two utterances of 50, or of 42."""
    model = small_model(hidden=hidden)
    program, found = choose_program(model, GRID, "throughput")
    frames = min(50, min(entry.frames for entry in program.sequences) // 2)
    assert (found.utterances, found.frames) == (2, frames)
    assert frames == {8: 50, 12: 42}[hidden]
    for one in found.counts:
        simulator = Simulator(lower(model, GRID, one.mapping))
        runs = [simulator.timing([[frames, frames]] * waves).cycles for waves in (2, 4)]
        assert one.cycles == pytest.approx((runs[1] - runs[0]) / (4 * frames))
    assert found.mapping == min(found.counts, key=lambda one: one.cycles or 0).mapping
    assert f"by simulated cycles a frame, 2 utterances of {frames} in flight: " in found.reason


def test_an_accelerator_of_one_context_has_one_utterance_in_flight() -> None:
    _, found = choose_program(small_model(), replace(GRID, contexts=1), "throughput")
    assert (found.utterances, found.frames) == (1, 50)


def test_a_small_sequence_memory_times_shorter_utterances() -> None:
    config = replace(GRID, sequence_bytes=160)
    program, found = choose_program(small_model(), config)
    assert found.frames == min(entry.frames for entry in program.sequences) < 50


def pruned_english_small() -> IntegerModel:
    return with_pattern(read_model(resolve_model("english-small")), "random", 0.04)


def narrow_then_wide() -> IntegerModel:
    graph = Graph(
        (
            Linear("layer0", 6, 8),
            Linear("layer1", 8, 200),
            Linear("layer2", 200, 384),
            Lstm("lstm", 384, 160, merge="concatenate"),
            Output("output", 320, 29),
        )
    )
    features = replace(MfccConfig(), coefficients=2, context=1)
    return random_model_of_graph(np.random.default_rng(154), graph, features, sparsity=0.95)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "target"),
    [(pruned_english_small, "mau-stratix10"), (narrow_then_wide, "ddese-vu9p")],
)
def test_networks_that_a_closed_form_misjudges(
    network: Callable[[], IntegerModel], target: str
) -> None:
    """It knows no wheel: of these, one mapping was slower than modelled, or found no circuits."""
    program, found = choose_program(network(), TARGETS[target])
    fewest = Simulator(program).timing([[50]]).cycles
    assert fewest == min(one.cycles for one in found.counts if one.cycles is not None)


def test_equal_cycles_take_the_mapping_of_the_paper() -> None:
    program, found = choose_program(small_model(bidirectional=False), GRID)
    assert found.counts[0].cycles == found.counts[1].cycles
    assert program.mapping == "paper"


# ---- mappings that do not compile ----------------------------------------------------------------


@pytest.mark.parametrize("objective", ["latency", "throughput"])
@pytest.mark.parametrize(
    ("hidden", "config", "taken", "message"),
    [
        (8, ONLY_INTERLEAVED, "interleaved", "the model needs 10 cores"),
        (12, ONLY_PAPER, "paper", "a single step of 4 rows needs 4 weight words"),
    ],
)
def test_a_mapping_that_does_not_fit_is_passed_over(
    hidden: int, config: AcceleratorConfig, taken: Mapping, message: str, objective: Objective
) -> None:
    program, found = choose_program(small_model(hidden=hidden), config, objective)
    assert program.mapping == found.mapping == taken
    fitting, misfit = sorted(found.counts, key=lambda one: one.misfit is not None)
    assert (fitting.mapping, fitting.misfit) == (taken, None)
    assert fitting.cycles is not None and misfit.cycles is None
    assert message in str(misfit.misfit)
    assert f"{misfit.mapping} does not compile ({misfit.misfit})" in found.reason


@pytest.mark.parametrize("refused", MAPPINGS)
def test_a_mapping_that_does_not_route_is_passed_over(
    refused: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lowering.PASSES[-1]

    def route(plan: Plan) -> Plan:
        if plan.mapping == refused:
            raise CompileError("site (1, 2) is overloaded; raise slots with --config")
        return real(plan)

    monkeypatch.setattr(lowering, "PASSES", (*lowering.PASSES[:-1], route))
    program, found = choose_program(small_model(), GRID)
    assert program.mapping != refused
    misfits = {one.mapping: one.misfit for one in found.counts}
    assert misfits[refused] == "site (1, 2) is overloaded; raise slots with --config"
    assert misfits[program.mapping] is None


def test_both_messages_are_told_when_neither_compiles() -> None:
    model, config = small_model(hidden=12), replace(ONLY_PAPER, cores=16)
    messages = []
    for mapping in MAPPINGS:
        with pytest.raises(CompileError) as one:
            lower(model, config, mapping)
        messages.append(str(one.value))
    with pytest.raises(CompileError) as both:
        choose_program(model, config)
    assert str(both.value) == (
        f"paper mapping: {messages[0]}; interleaved mapping: {messages[1].split(';')[0]}"
    )
    assert "16; largest" in messages[0] and messages[1].endswith(" with --config")


def test_one_message_is_told_once() -> None:
    with pytest.raises(CompileError) as both:
        choose_program(small_model(), replace(GRID, cores=3, name="three-cores"))
    assert str(both.value).startswith("the model needs")
    assert str(both.value).count("three-cores has 3") == 1
    with pytest.raises(CompileError, match=r"^--host-layers: the model has no layer 'layer9'"):
        choose_program(small_model(), GRID, host_layers=("layer9",))


def test_model_that_no_program_runs() -> None:
    with pytest.raises(NoProgramError, match="projects its outputs"):
        choose_program(small_model(projection=4), GRID)
