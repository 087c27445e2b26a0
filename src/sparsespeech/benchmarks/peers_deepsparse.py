"""DeepSparse as a peer: one sparse int8 product, run from its own interpreter.

Axes: T frames, B utterances, C columns, R rows, N = T*B.

Its compiled graph is one MatMulInteger of uint8 windows and int8 weights with int32 results, the
form in which DeepSparse 1.8 was found to make use of the zeros. It reads the same integers as our
engine, so its results are exact.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["NM_DISABLE_ANALYTICS"] = "True"  # the library reports its use otherwise

import deepsparse
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sparsespeech.benchmarks.float_network import FloatLinear, FloatNetwork, ScaledMatrix
from sparsespeech.benchmarks.peer import PreparedPeer
from sparsespeech.errors import UnsupportedLayerError

_OPERATOR_SET, _IR_VERSION = 13, 7  # what DeepSparse 1.8 reads


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    """A peer for windows uint8[T, B, C] of a network of one output layer; int8 only.

    Raises UnsupportedLayerError for any other network.
    """
    layer = network.layers[0]
    if len(network.layers) != 1 or not isinstance(layer, FloatLinear) or precision != "int8":
        raise UnsupportedLayerError("DeepSparse is timed on a single int8 product only")
    frames, batch, columns = windows.shape
    x = np.ascontiguousarray(windows.reshape(frames * batch, columns))
    model = _product_graph(layer.weights, network.zero_point, frames * batch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "product.onnx")
        onnx.save(model, str(path))
        engine = deepsparse.Engine(str(path), batch_size=frames * batch, num_cores=threads)

    def run() -> NDArray[Any]:
        result: NDArray[Any] = engine.run([x])[0]
        return result

    def finish(result: NDArray[Any]) -> NDArray[Any]:
        logits: NDArray[Any] = result * layer.weights.scale + layer.bias
        return logits.reshape(frames, batch, -1)

    return PreparedPeer(run, {"supported_share": f"{engine.fraction_of_supported_ops:g}"}, finish)


def _product_graph(weights: ScaledMatrix, zero_point: int, columns: int) -> onnx.ModelProto:
    """int32[N, R] of uint8[N, C]: ``(x - zero_point) W^T``."""
    rows, inputs = weights.matrix.shape
    integers = ScaledMatrix(weights.matrix, np.ones(1, dtype=np.float32)).dense()
    constants = {
        "weights": np.ascontiguousarray(integers.T.astype(np.int8)),
        "input_zero": np.array(zero_point, dtype=np.uint8),
        "weight_zero": np.array(0, dtype=np.int8),
    }
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", *constants], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [columns, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [columns, rows])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    operators = [helper.make_opsetid("", _OPERATOR_SET)]
    model = helper.make_model(graph, opset_imports=operators)
    model.ir_version = _IR_VERSION
    return model
