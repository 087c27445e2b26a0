"""The simulated accelerator on the vectors of whole models, in both mappings, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.accelerator_executor import SimulatorExecutor
from sparsespeech.compilation import compile_model
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.graph import Conv2d, Graph, Lstm, Output
from tests.conformance.test_executors import MODELS, VECTORS, utterances

# Their sums reach the 32 bits of rule R3, beyond the 26 of a core.
LARGE_SUMS = {"r04_every_shift", "r04_largest_rescaling"}


def runs(name: str) -> bool:
    """Whether an accelerator program can run the model: 8 bit, and layers of the right kind."""
    graph: Graph = MODELS[name].graph
    kinds = (
        not isinstance(layer, Conv2d)
        and not (isinstance(layer, Lstm) and (layer.projection or layer.peephole))
        and not (isinstance(layer, Lstm) and layer.bidirectional and layer.merge == "sum")
        for layer in graph.layers
    )
    alone = all(isinstance(layer, Output) for layer in graph.layers)
    return all(kinds) and not alone and MODELS[name].activation_bits == 8 and name not in LARGE_SUMS


RUNNABLE = [name for name in MODELS if runs(name)]


def test_many_vectors_run() -> None:
    assert len(RUNNABLE) >= 15


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("name", RUNNABLE)
def test_logits_of_the_vector(name: str, mapping: Mapping) -> None:
    program = compile_model(MODELS[name], mapping=mapping)
    executor = SimulatorExecutor(MODELS[name], program=program)
    for windows, logits in utterances(VECTORS[name]):
        assert np.array_equal(executor.run(windows), logits)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in RUNNABLE])
def test_other_models_are_refused(name: str) -> None:
    with pytest.raises(CompileError):
        compile_model(MODELS[name])
