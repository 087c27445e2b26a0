"""Whatever the order of units and rows, the logits are those of the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.random_models import random_integer_model

EMPTY = 2**32 - 1
native = pytest.importorskip("sparsespeech._native", reason="the engine was not built")
if not hasattr(native, "engine"):
    pytest.skip("the compiled module has no engine", allow_module_level=True)


def slots_of(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``rows`` and empty slots up to a multiple of 64, in any order."""
    empty = np.full(-rows.size % 64, EMPTY, dtype=np.uint32)
    return rng.permutation(np.concatenate([rows.astype(np.uint32), empty]))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    hidden=st.integers(1, 90),
    bidirectional=st.booleans(),
    peephole=st.booleans(),
    per_row=st.booleans(),
    sparsity=st.sampled_from([0.3, 0.8, 0.97]),
    window=st.sampled_from([64, 96, 128, 192, 256]),
    groups=st.sampled_from([1, 2, 4]),
    frames=st.integers(1, 40),
    swaps=st.sampled_from([0, 3]),
)
def test_any_order_gives_the_same_logits(
    seed: int,
    hidden: int,
    bidirectional: bool,
    peephole: bool,
    per_row: bool,
    sparsity: float,
    window: int,
    groups: int,
    frames: int,
    swaps: int,
) -> None:
    rng = np.random.default_rng(seed)
    model = random_integer_model(
        rng,
        hidden=hidden,
        bidirectional=bidirectional,
        peephole=peephole,
        per_row=per_row,
        sparsity=sparsity,
    )
    directions = ["layer3.forward", "layer3.backward"] if bidirectional else ["layer3.forward"]
    options = {
        "unit_orders": {name: rng.permutation(hidden).astype(np.uint32) for name in directions},
        "row_orders": {
            f"{name}.recurrent": slots_of(np.arange(4 * hidden), rng) for name in directions
        },
        "sweep_window": window,
        "sweep_groups": groups,
        "dense_from": 2.0,
        "search": {"swaps_per_row": swaps, "every_matrix": True, "seed": seed},
    }
    windows = rng.integers(0, 256, (frames, 494)).astype(np.uint8)
    executor = CpuExecutor(model, threads=1, options=options)
    assert np.array_equal(executor.run(windows), ReferenceExecutor(model).run(windows))
