"""Images of all cores, executed, are the matrices of the model; full memories are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.passes.pack_words import pack_words
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech
from sparsespeech.simulator.weights import execute_words
from tests.accelerator_plans import mapped
from tests.random_models import random_model_of_graph

FEATURES = MfccConfig(coefficients=13, filters=26, context=2)  # 65 inputs
MAPPINGS: list[Mapping] = ["paper", "interleaved"]


def placed(mapping: Mapping, config: AcceleratorConfig | None = None) -> Plan:
    """DeepSpeech of 22 on cores of 16 columns, so that rows and columns are cut."""
    model = random_model_of_graph(
        np.random.default_rng(3), deepspeech(22, inputs=FEATURES.inputs), FEATURES, sparsity=0.7
    )
    small = replace(
        TARGETS["tiny"], grid_rows=6, grid_columns=10, cores=60, window_columns=8, weight_words=64
    )
    plan = mapped(model, small, mapping)
    return plan if config is None else replace(plan, config=config)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_executed_images_are_the_matrices_of_the_model(mapping: Mapping) -> None:
    plan = pack_words(placed(mapping))
    found = {
        chain.matrix: np.zeros(matrix_of(plan.model, chain.matrix).shape, dtype=np.int64)
        for chain in plan.chains
    }
    used = [np.zeros(image.shape, dtype=np.int64) for image in plan.words]
    for number, chain in enumerate(plan.chains):
        for position, (core, (start, stop)) in enumerate(
            zip(chain.cores, chain.slices, strict=True)
        ):
            first, count = (part[number][position] for part in (plan.word_start, plan.word_count))
            weights = execute_words(
                plan.words[core],
                first,
                count,
                row_groups=chain.row_groups,
                columns=stop - start,
                config=plan.config,
                where=chain.name,
            )
            rows = chain.rows.reshape(-1)[weights.row]
            assert (rows >= 0).all()
            assert not found[chain.matrix][rows, start + weights.column].any()
            found[chain.matrix][rows, start + weights.column] = weights.weight
            place = np.arange(plan.words[core].shape[2])
            used[core] += (place >= first[..., np.newaxis]) & (
                place < (first + count)[..., np.newaxis]
            )
    for name, dense in found.items():
        matrix = matrix_of(plan.model, name)
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
        expected = np.zeros_like(dense)
        expected[rows, matrix.column] = matrix.value
        assert np.array_equal(dense, expected), name
    # Each word belongs to one task at most, and the others are empty.
    assert max(int(count.max(initial=0)) for count in used) == 1
    assert not any(image[count == 0].any() for image, count in zip(plan.words, used, strict=True))


def test_directions_of_the_interleaved_mapping_share_memories() -> None:
    plan = pack_words(placed("interleaved"))
    starts = [start for chain in plan.word_start for start in chain]
    assert any(start.any() for start in starts)


def test_figures_say_how_full_the_streams_are() -> None:
    plan = pack_words(placed("paper"))
    figures = plan.facts["weight_words"]
    for chain, counts in zip(plan.chains, plan.word_count, strict=True):
        longest = max(int(count.max()) for count in counts)
        assert figures[chain.matrix]["longest"] >= longest
        assert figures[chain.matrix]["longest_per_row_group"] >= round(
            longest / chain.row_groups, 4
        )
    assert max(entry["longest"] for entry in figures.values()) == max(
        image.shape[2] for image in plan.words
    )


def test_a_memory_that_is_too_small_is_named_with_need_limit_and_help() -> None:
    plan = placed("paper")
    need = max(image.shape[2] for image in pack_words(plan).words)
    pack_words(replace(plan, config=replace(plan.config, weight_words=need)))
    with pytest.raises(CompileError) as caught:
        pack_words(replace(plan, config=replace(plan.config, weight_words=need - 1)))
    message = str(caught.value)
    assert "weights, row group " in message
    assert ": lane " in message and ", window " in message and " of core " in message
    assert f"needs {need} weight words, tiny stores {need - 1}; prune further" in message


def test_weights_that_the_word_cannot_hold_are_named() -> None:
    plan = placed("paper")
    with pytest.raises(CompileError, match=r"layer1.weights: row \d+: weight -?\d+ needs more"):
        pack_words(replace(plan, config=replace(plan.config, weight_bits=7)))
