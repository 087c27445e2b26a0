from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.layer_shapes import (
    column_slices,
    matrix_shapes,
    rows_of_steps,
    step_runs,
)
from sparsespeech.compiler.packing import pack_chain
from sparsespeech.compiler.word_counts import entries_of_windows, words_of_row_groups
from sparsespeech.graph import Lstm
from tests.random_models import random_sparse_matrix

TINY = TARGETS["tiny"]


@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_as_many_words_as_the_packer_makes(groups: int) -> None:
    rng = np.random.default_rng(groups)
    (shape, *_) = matrix_shapes(Lstm("lstm", 150, 23))
    matrix = random_sparse_matrix(rng, (shape.rows, shape.columns), 0.7)
    slices = column_slices(shape.columns, TINY)
    entries = entries_of_windows(matrix, slices, TINY)
    assert entries.sum(axis=(1, 2)).tolist() == np.diff(matrix.row_start).tolist()
    counted = words_of_row_groups(entries, shape, groups, TINY)
    for group, run in enumerate(step_runs(shape.steps(TINY), groups)):
        packed = pack_chain(matrix, rows_of_steps(shape, TINY, *run), slices, TINY)
        for task, part in enumerate(packed):
            assert part.counts.tolist() == counted[group, task].tolist()
