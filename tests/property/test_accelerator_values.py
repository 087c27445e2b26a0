"""Random models, utterances and mappings: an accelerator's logits are the reference's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsespeech.accelerator import Accelerator
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Mapping
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.compiled_programs import GRID, random_windows, small_model

ROOMY = replace(GRID, weight_words=256)  # few row groups: small programs, soon routed


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    hidden=st.integers(1, 18),
    bidirectional=st.booleans(),
    per_row=st.booleans(),
    sparsity=st.sampled_from([0.0, 0.5, 0.8, 0.97, 1.0]),
    mapping=st.sampled_from(["paper", "interleaved"]),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    in_flight=st.integers(1, 3),
)
def test_logits_are_those_of_the_reference(
    seed: int,
    hidden: int,
    bidirectional: bool,
    per_row: bool,
    sparsity: float,
    mapping: Mapping,
    lengths: list[int],
    in_flight: int,
) -> None:
    model = small_model(
        seed, hidden=hidden, bidirectional=bidirectional, per_row=per_row, sparsity=sparsity
    )
    utterances = [random_windows(seed + n, frames) for n, frames in enumerate(lengths)]
    accelerator = Accelerator(lower(model, ROOMY, mapping), host_backend="reference")
    result = accelerator.run(utterances, in_flight=in_flight)
    reference = ReferenceExecutor(model)
    assert len(result.logits) == len(result.latency_cycles) == len(lengths)
    for windows, logits, cycles in zip(
        utterances, result.logits, result.latency_cycles, strict=True
    ):
        assert np.array_equal(logits, reference.run(windows))
        assert len(windows) < cycles <= result.counters.cycles
