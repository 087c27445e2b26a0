"""Every executor on every vector: bit-identical logits, and the single rules where it has them.

A new executor adds one line to EXECUTORS; a new implementation of single rules (fake-quantize, a
native kernel) adds one class like ReferenceRules to RULES. The CPU engine stands in the list once
for each instruction set of this machine, if it was built.
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import ConversionError, UnsupportedLayerError
from sparsespeech.graph import Conv2d, Lstm
from sparsespeech.integer_arithmetic import fixed_point, lookup_tables
from sparsespeech.integer_arithmetic.lstm import quantize_output
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.integer_arithmetic.vector_cases import storage
from tests.instruction_sets import built_instruction_sets

FOLDER = Path(__file__).parent / "vectors"
VECTORS = {path.stem: storage.read(path) for path in sorted(FOLDER.glob("*.safetensors"))}
MODELS = {
    name: storage.restore_model(vector)
    for name, vector in VECTORS.items()
    if vector.kind == "model"
}
PRIMITIVES = [name for name, vector in VECTORS.items() if vector.kind != "model"]

EXECUTORS = {
    "reference": ReferenceExecutor,
    "definitional": partial(ReferenceExecutor, method="definitional"),
    **{
        f"cpu-{name}": partial(CpuExecutor, instruction_set=name, threads=2)
        for name in built_instruction_sets()
    },
}


def utterances(vector):
    """(windows, expected logits) of each utterance."""
    windows, logits = vector.tensors["windows"], vector.tensors["logits"]
    starts = np.concatenate([[0], np.cumsum(vector.tensors["frames"])])
    rows = np.concatenate([[0], np.cumsum(vector.tensors["logit_frames"])])
    for n in range(len(starts) - 1):
        yield windows[starts[n] : starts[n + 1]], logits[rows[n] : rows[n + 1]]


def holds(model, kind, **attributes):
    """Whether a layer of ``kind`` has these attributes."""
    return any(
        isinstance(layer, kind) and all(getattr(layer, k) == v for k, v in attributes.items())
        for layer in model.graph.layers
    )


def is_beyond_cpu(model):
    """Whether the model needs R10 or R11, which the CPU engine does not run."""
    summed = holds(model, Lstm, bidirectional=True, merge="sum")
    return model.activation_bits == 16 or holds(model, Conv2d) or summed


def runs(executor, name):
    return not (executor.startswith("cpu-") and is_beyond_cpu(MODELS[name]))


CASES = [(executor, name) for name in MODELS for executor in EXECUTORS if runs(executor, name)]
UNIDIRECTIONAL = [
    (executor, name)
    for executor, name in CASES
    if executor != "definitional"  # its streams are those of the reference
    and not holds(MODELS[name], Lstm, bidirectional=True)
    and not holds(MODELS[name], Conv2d)
]
CPU = [executor for executor in EXECUTORS if executor.startswith("cpu-")]


@pytest.mark.parametrize(("executor", "name"), CASES)
def test_logits(executor, name):
    run = EXECUTORS[executor](MODELS[name]).run
    cases = list(utterances(VECTORS[name]))
    for windows, expected in [*cases, cases[0]]:  # R12: the first again, after all others
        logits = run(windows)
        assert logits.dtype == np.int64
        np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize(("executor", "name"), UNIDIRECTIONAL)
def test_streams(executor, name, size):
    runner = EXECUTORS[executor](MODELS[name])
    for windows, expected in utterances(VECTORS[name]):
        session = runner.stream()
        starts = range(0, max(1, len(windows)), size)
        chunks = [session.push(windows[start : start + size]) for start in starts]
        np.testing.assert_array_equal(np.concatenate(chunks), expected)


@pytest.mark.parametrize(
    ("executor", "name"),
    [case for case in CASES if case not in UNIDIRECTIONAL and case[0] != "definitional"],
)
def test_no_streams(executor, name):
    with pytest.raises(UnsupportedLayerError, match="needs a unidirectional model"):
        EXECUTORS[executor](MODELS[name]).stream()


@pytest.mark.parametrize(("executor", "name"), [case for case in CASES if case[0] in CPU])
def test_batches(executor, name):
    cases = list(utterances(VECTORS[name])) * 3
    logits = EXECUTORS[executor](MODELS[name]).run_batch([windows for windows, _ in cases])
    for found, (_, expected) in zip(logits, cases, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("executor", CPU)
@pytest.mark.parametrize("name", [name for name in MODELS if is_beyond_cpu(MODELS[name])])
def test_layers_beyond_the_cpu_engine(executor, name):
    with pytest.raises(UnsupportedLayerError, match=r"rule R1[01].*--backend reference"):
        EXECUTORS[executor](MODELS[name])


class ReferenceRules:
    """The single rules in numpy; each method takes and returns arrays as its vector names them."""

    def weights(self, vector):  # R1
        real = vector.tensors["real"]
        for bits in (8, 12, 16):
            for name, per_row in (("matrix", False), ("row", True)):
                weights, scale = fixed_point.quantize_weights(real, bits=bits, per_row=per_row)
                yield weights, f"weights_{bits}_{name}"
                yield scale, f"scale_{bits}_{name}"
        weights, scale = fixed_point.quantize_weights(np.zeros((2, 3)))
        yield weights, "zero_weights"
        yield scale, "zero_scale"

    def activations(self, vector):  # R2, R12
        t = vector.tensors
        parameters = [
            fixed_point.activation_parameters(low, high, bits=int(bits))
            for (low, high), bits in zip(t["range"], t["bits"], strict=True)
        ]
        yield np.array([p.scale for p in parameters]), "scale"
        yield np.array([p.zero_point for p in parameters]), "zero_point"
        yield np.array([p.clamp_limits(20.0) for p in parameters]), "clamp_20"
        rows = [p.quantize(x) for p, x in zip(parameters, t["real"], strict=True)]
        yield np.stack(rows), "quantized"

    def folded_bias(self, vector):  # R3
        t = vector.tensors
        for z in (0, 128, 255):
            folded = fixed_point.fold_bias(
                t["real"], t["accumulator_scale"], z, t["weight_row_sum"]
            )
            yield folded, f"bias_{z}"

    def requantize(self, vector):  # R4
        t = vector.tensors
        multiplier, shift = t["multiplier"].astype(np.int64), t["shift"].astype(np.int64)
        yield fixed_point.rescale(t["accumulator"], multiplier, shift), "rescaled"
        results = np.empty(len(shift), dtype=np.int64)
        for number, (zero_point, low, high) in enumerate(t["clamp"].tolist()):
            rows = t["clamp_used"] == number
            results[rows] = fixed_point.requantize(
                t["accumulator"][rows], multiplier[rows], shift[rows], zero_point, low, high
            )
        yield results, "requantized"

    def gates(self, vector):  # R5
        t = {name: tensor.astype(np.int64) for name, tensor in vector.tensors.items()}
        stored = fixed_point.saturate16(t["rescaled_input"])
        yield stored, "input_part"
        gate = fixed_point.saturate16(stored + t["rescaled_recurrent"] + t["peephole"])
        yield gate, "gate"

    def tables(self, vector):  # R6, R10
        table = lookup_tables.sigmoid_table(len(vector.tensors["slope"]))
        yield table.base, "base"
        yield table.slope, "slope"
        every = np.arange(-32768, 32768)
        for name in ("sigmoid", "tanh"):
            function = getattr(lookup_tables, name)
            yield function(vector.tensors["x"], table), name
            digest = hashlib.sha256(function(every, table).astype("<i2").tobytes()).hexdigest()
            assert digest == vector.facts[f"{name}_sha256"]

    def cell_and_output(self, vector):  # R7, R8
        t = {name: tensor.astype(np.int64) for name, tensor in vector.tensors.items()}
        table = lookup_tables.sigmoid_table()
        i, f = lookup_tables.sigmoid(t["i"], table), lookup_tables.sigmoid(t["f"], table)
        g = lookup_tables.tanh(t["g"], table)
        updated = (f * t["old_cell"] + ((i * g + 8) >> 4) + 2**14) >> 15
        cell = fixed_point.saturate16(updated)
        m = (lookup_tables.sigmoid(t["o"], table) * lookup_tables.tanh(cell, table) + 2**14) >> 15
        yield cell, "cell"
        yield m, "m"
        yield quantize_output(m), "h"

    def multipliers(self, vector):  # R13
        results = []
        for ratio in vector.tensors["ratio"].tolist():
            try:
                results.append((*fixed_point.choose_multiplier(ratio), 0))
            except ConversionError:
                results.append((0, 0, 1))
        yield from zip(np.array(results).T, ("multiplier", "shift", "refused"), strict=True)


RULES = {"reference": ReferenceRules}


@pytest.mark.parametrize("implementation", RULES)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_single_rules(implementation, name):
    vector = VECTORS[name]
    for result, expected in getattr(RULES[implementation](), vector.kind)(vector):
        np.testing.assert_array_equal(result, vector.tensors[expected], err_msg=expected)
