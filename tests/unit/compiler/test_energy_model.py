"""Modelled power: right at its anchor, in proportion elsewhere, absent where nobody measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.energy_model import activity, estimate_power
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.graph import deepspeech
from tests.accelerator_plans import connected, mapped, model_of_shapes
from tests.compiled_programs import small_program

MAU = TARGETS["mau-stratix10"]


def test_the_anchor_is_the_published_power() -> None:
    power = estimate_power(MAU, MAU.reference_activity)
    assert power is not None
    assert power.watts == pytest.approx(34.9)
    assert power.gops_per_watt(54.0) == pytest.approx(1547, abs=0.5)
    assert power.joules(2.0) == pytest.approx(69.8)


def test_only_the_dynamic_part_follows_work_and_clock() -> None:
    idle = estimate_power(MAU, 0.0)
    assert idle is not None
    assert idle.watts == pytest.approx(0.4 * 34.9)
    for config, share in (
        (MAU, 0.5 * MAU.reference_activity),
        (replace(MAU, frequency_mhz=125.0), MAU.reference_activity),
    ):
        half = estimate_power(config, share)
        assert half is not None
        assert half.watts == pytest.approx(0.4 * 34.9 + 0.5 * 0.6 * 34.9)


@pytest.mark.parametrize(
    "config",
    [TARGETS["tiny"], TARGETS["deepbench"], replace(MAU, cores=20), replace(MAU, name="mine")],
)
def test_no_power_is_guessed(config: AcceleratorConfig) -> None:
    assert estimate_power(config, 0.5) is None


def test_activity_counts_a_cycle_a_row_group_or_a_word() -> None:
    program = small_program()
    cycles = [
        max(program.chains[task.chain].row_groups, int(task.word_count.max()))
        for task in program.tasks
    ]
    share = activity(program, program.metrics(), 100.0)
    assert share == pytest.approx(sum(cycles) / (100.0 * program.config.cores))


def test_the_workload_of_the_paper_takes_the_published_power() -> None:
    """DeepSpeech 2048 as Table II lays it out: 34.9 W, and with S2's 54.0 TOPS its 1547 GOPS/W."""
    program = assemble(connected(mapped(model_of_shapes(deepspeech(2048)), MAU, "paper")))
    metrics = program.metrics()
    power = estimate_power(MAU, activity(program, metrics, float(metrics.cycles_per_frame)))
    assert power is not None
    assert power.watts == pytest.approx(34.9, abs=0.05)
    assert power.gops_per_watt(54.0) == pytest.approx(1547, abs=0.5)
