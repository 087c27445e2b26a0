"""Bounds of partial sums against the worst activations, found by trying all sets of columns.

Axes: R rows, C columns.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.passes.bound_sums import bound_sums, largest_sums
from sparsespeech.errors import CompileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech
from tests.accelerator_plans import mapped
from tests.random_models import random_model_of_graph, sparse_from_dense

SLICES = ((0, 2), (2, 3), (3, 6))


def test_bounds_are_the_largest_sums_that_activations_can_make() -> None:
    rng = np.random.default_rng(2)
    dense = rng.integers(-128, 128, (9, 6)) * (rng.random((9, 6)) < 0.6)
    dense[4] = 0
    bias = rng.integers(-60000, 60000, 9)
    partial, full = largest_sums(sparse_from_dense(dense), SLICES, bias)
    extremes = np.array(list(itertools.product((0, 255), repeat=6)))  # sums are linear in each
    sums = np.cumsum(dense[:, :, np.newaxis] * extremes.T, axis=1)
    reached = np.abs(sums).max(axis=2)  # [R, C], after each column
    assert np.array_equal(partial, reached[:, [stop - 1 for _, stop in SLICES]])
    with_bias = np.abs(sums[:, -1] + bias[:, np.newaxis]).max(axis=1)
    # The products alone count as well: the tail may add the bias last.
    assert np.array_equal(full, np.maximum(with_bias, reached[:, -1]))


def test_figures_of_every_matrix_are_kept_and_a_narrow_register_is_refused() -> None:
    features = MfccConfig(coefficients=13, filters=26, context=2)
    graph = deepspeech(22, inputs=features.inputs, bidirectional=False)
    model = random_model_of_graph(np.random.default_rng(3), graph, features, sparsity=0.2)
    config = replace(TARGETS["tiny"], grid_rows=4, grid_columns=4, cores=16)
    plan = mapped(model, config, "paper")
    figures = bound_sums(plan).facts["partial_sums"]
    assert set(figures) == {chain.matrix for chain in plan.chains}
    largest = max(entry["largest_with_bias"] for entry in figures.values())
    bits = largest.bit_length() + 1
    bound_sums(replace(plan, config=replace(config, partial_sum_bits=bits)))
    with pytest.raises(CompileError) as caught:  # the largest need of all matrices
        bound_sums(replace(plan, config=replace(config, partial_sum_bits=bits - 1)))
    message = str(caught.value)
    assert re.match(rf"layer\d[a-z._]*: row \d+ can reach {largest}, tiny holds", message)
    assert f"(partial_sum_bits = {bits - 1})" in message
    assert f"set partial_sum_bits = {bits} and flit_bits" in message
