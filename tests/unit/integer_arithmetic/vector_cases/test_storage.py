"""A vector survives its file; equal vectors have equal bytes."""

import numpy as np
from safetensors.numpy import load

from sparsespeech.graph import Conv2d, Graph, Lstm
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.integer_arithmetic.vector_cases import storage
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder, identity_output
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers


def vector():
    tensors = {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3),
        "b": np.array([-1, 1], dtype=np.int8),
        "c": np.zeros((0, 4), dtype=np.float64),
    }
    return storage.Vector("name", "kind", ("R1",), "about", tensors, {"fact": [1, "two"]})


def test_a_vector_survives_its_file(tmp_path):
    storage.write(vector(), tmp_path)
    got = storage.read(tmp_path / "name.safetensors")
    assert (got.name, got.kind, got.rules, got.about) == ("name", "kind", ("R1",), "about")
    assert got.facts == {"fact": [1, "two"]}
    for name, tensor in vector().tensors.items():
        np.testing.assert_array_equal(got.tensors[name], tensor, strict=True)


def test_big_endian_tensors_give_the_same_bytes():
    swapped = vector()
    swapped.tensors["a"] = swapped.tensors["a"].astype(">i8")
    assert storage.to_bytes(swapped) == storage.to_bytes(vector())


def test_the_safetensors_library_reads_it():
    assert load(storage.to_bytes(vector()))["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_model_with_every_kind_of_layer_survives(tmp_path):
    build = LayerBuilder(SeededIntegers("storage"), density=0.5)
    geometry = Conv2d("conv", 1, 2, (3, 3), (1, 1), (1, 1))
    entry = Lstm("lstm", 8, 4, projection=3, peephole=True)
    pairs = [build.convolution(geometry, 7), build.lstm(entry, 0), build.linear("l", 6, 5, 93)]
    pairs.append(identity_output(5))
    graph = Graph(tuple(entry for entry, _ in pairs))
    model = storage.placeholder_model(graph, tuple(layer for _, layer in pairs), 8)
    facts, tensors = storage.flatten_model(model)
    storage.write(storage.Vector("m", "model", (), "", tensors, facts), tmp_path)
    restored = storage.restore_model(storage.read(tmp_path / "m.safetensors"))
    assert restored.graph == graph and len(restored.labels) == 4
    x = np.arange(24, dtype=np.uint8).reshape(6, 4)
    logits = ReferenceExecutor(model).run(x)
    np.testing.assert_array_equal(ReferenceExecutor(restored).run(x), logits)
    assert logits.any()
