"""Sweeps of designs: all combinations, the closed form, and the front by its definition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compilation import compile_model
from sparsespeech.compiler.exploration import (
    DesignPoint,
    Sweep,
    explore,
    latency_of,
    modelled_latency,
    pareto_front,
)
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import AcceleratorConfigError, CompileError
from tests.compiled_programs import GRID, small_model

TINY = TARGETS["tiny"]


def point(cycles: int | None, cores: int = 4) -> DesignPoint:
    config = replace(TINY, cores=cores, grid_rows=1, grid_columns=cores)
    return DesignPoint(config, "paper", cycles)


def test_every_combination_is_a_design_in_a_grid_that_holds_it() -> None:
    sweep = Sweep((4, 8), (2, 4), (1, 7, 34), (100.0, 250.0))
    designs = list(sweep.designs(TINY))
    kinds = {(d.row_lanes, d.multipliers_per_window, d.cores, d.frequency_mhz) for d in designs}
    assert kinds == set(itertools.product((4, 8), (2, 4), (1, 7, 34), (100.0, 250.0)))
    assert all(d.grid_rows * d.grid_columns >= d.cores for d in designs)
    assert all(d.weight_words == TINY.weight_words for d in designs)


def test_what_is_not_swept_stays() -> None:
    assert list(Sweep().designs(TINY)) == [TINY]


@pytest.mark.parametrize("sweep", [Sweep(cores=(0,)), Sweep(row_lanes=(6,))])
def test_impossible_designs_are_refused(sweep: Sweep) -> None:
    with pytest.raises(AcceleratorConfigError, match="expected"):
        list(sweep.designs(TINY))


def test_points_are_the_closed_form_of_each_design() -> None:
    model = small_model()
    points = explore(model, GRID, Sweep(cores=(1, 24, 32)))
    assert len(points) == 6
    for entry in points:
        try:
            expected = modelled_latency(model, entry.config, entry.mapping)
        except CompileError as error:
            assert (entry.cycles, entry.why, entry.milliseconds) == (None, str(error), None)
        else:
            assert entry.cycles == expected.cycles
            assert entry.milliseconds == pytest.approx(1e3 * expected.seconds)
    assert [entry.cycles is None for entry in points] == [True, True, False, False, False, False]
    assert points[0].multipliers == GRID.multipliers
    assert points[2].memory_bits == 24 * 4 * 2 * GRID.weight_words * GRID.word_bits


def test_a_machine_is_counted_once_for_all_its_clocks() -> None:
    asked: list[tuple[int, Mapping]] = []

    def count(config: AcceleratorConfig, mapping: Mapping) -> int:
        asked.append((config.cores, mapping))
        return 1000

    seen: list[tuple[int, int]] = []
    points = explore(
        small_model(),
        GRID,
        Sweep(cores=(24, 32), frequency_mhz=(100.0, 200.0), mappings=("paper",)),
        count=count,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert asked == [(24, "paper"), (32, "paper")]
    assert [entry.milliseconds for entry in points] == pytest.approx([0.01, 0.005] * 2)
    assert seen == [(done, 4) for done in range(5)]


@pytest.mark.parametrize("multipliers", [1, 4])
def test_a_pass_takes_the_words_that_the_packer_stores(multipliers: int) -> None:
    model = small_model(hidden=16)
    config = replace(GRID, multipliers_per_window=multipliers, weight_words=64)
    program = compile_model(model, config)
    passes = {step.layer: step for step in modelled_latency(model, config, "paper").passes}
    assert set(passes) == {"layer1", "layer2", "layer3"}
    longer = []
    for layer, step in passes.items():
        tasks = [task for task in program.tasks if program.chains[task.chain].layer == layer]
        words = max(int(task.word_count.max()) for task in tasks)
        steps = max(program.chains[task.chain].row_groups for task in tasks)
        assert step.multiply == max(words, steps)
        longer.append(words > steps)
    assert any(longer) == (multipliers == 1)


@given(st.lists(st.tuples(st.integers(1, 6) | st.none(), st.integers(1, 6)), max_size=12))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int | None, int]]) -> None:
    points = [point(cycles, cores) for cycles, cores in drawn]
    front = pareto_front(points, lambda p: p.multipliers)
    expected = [
        p
        for p in points
        if p.cycles is not None
        and not any(
            q.cycles is not None
            and q.cycles <= p.cycles
            and q.config.cores <= p.config.cores
            and (q.cycles, q.config.cores) != (p.cycles, p.config.cores)
            for q in points
        )
    ]
    assert sorted(map(id, front)) == sorted(map(id, expected))
    assert [latency_of(p) for p in front] == sorted(latency_of(p) for p in front)
