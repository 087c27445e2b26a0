"""A float network as an ONNX graph, for ONNX Runtime and OpenVINO.

Axes: T frames, B utterances, I inputs, V labels, H cells of one direction, D directions. ONNX
orders the gates i, o, f, g (which it calls i, o, f, c); ours are i, f, g, o.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sparsespeech.benchmarks.float_network import (
    FloatDirection,
    FloatLinear,
    FloatLstm,
    FloatNetwork,
)
from sparsespeech.errors import UnsupportedLayerError

OPERATOR_SET = 17
IR_VERSION = 8
_GATE_ORDER = (0, 3, 1, 2)  # places of i, o, f, g in i, f, g, o


def onnx_model(network: FloatNetwork, frames: int, utterances: int) -> onnx.ModelProto:
    """The graph from "windows" float32[T, B, I] to "logits" float32[T, B, V].

    Raises UnsupportedLayerError for a projected LSTM, which ONNX does not have.
    """
    graph = _GraphBuilder()
    value = "windows"
    for number, layer in enumerate(network.layers):
        name = f"layer{number + 1}"
        if isinstance(layer, FloatLinear):
            value = graph.linear(name, layer, value)
        else:
            value = graph.lstm(name, layer, value)
    graph.nodes.append(helper.make_node("Identity", [value], ["logits"]))
    shape = [frames, utterances, network.inputs]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "acoustic_model",
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
    )
    model.ir_version = IR_VERSION
    return model


class _GraphBuilder:
    """Collects nodes and constants; each method returns the name of its output value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def linear(self, name: str, layer: FloatLinear, x: str) -> str:
        weights = self._constant(f"{name}.weights", layer.weights.dense().T)
        bias = self._constant(f"{name}.bias", layer.bias)
        product = self._node("MatMul", [x, weights], f"{name}.product")
        y = self._node("Add", [product, bias], f"{name}.sum")
        if not np.isfinite(layer.high):
            return y
        low = self._constant(f"{name}.low", np.array(layer.low, dtype=np.float32))
        high = self._constant(f"{name}.high", np.array(layer.high, dtype=np.float32))
        return self._node("Clip", [y, low, high], f"{name}.clipped")

    def lstm(self, name: str, layer: FloatLstm, x: str) -> str:
        if any(direction.projection for direction in layer.directions):
            raise UnsupportedLayerError(f"{name}: an ONNX LSTM has no projection")
        inputs = [
            x,
            self._constant(f"{name}.W", _stacked(layer, "input_weights")),
            self._constant(f"{name}.R", _stacked(layer, "recurrent_weights")),
            self._constant(f"{name}.B", np.stack([_bias(d) for d in layer.directions])),
        ]
        y = self._node(
            "LSTM",
            inputs,
            f"{name}.Y",
            hidden_size=layer.cells,
            direction="bidirectional" if len(layer.directions) == 2 else "forward",
        )  # [T, D, B, H]
        swapped = self._node("Transpose", [y], f"{name}.swapped", perm=[0, 2, 1, 3])
        shape = self._constant(f"{name}.shape", np.array([0, 0, -1], dtype=np.int64))
        return self._node("Reshape", [swapped, shape], f"{name}.merged")

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _reordered(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.split(rows, 4)[gate] for gate in _GATE_ORDER])


def _stacked(layer: FloatLstm, matrix: str) -> NDArray[np.float32]:
    return np.stack([_reordered(getattr(d, matrix).dense()) for d in layer.directions])


def _bias(direction: FloatDirection) -> NDArray[np.float32]:
    return np.concatenate((_reordered(direction.bias), np.zeros_like(direction.bias)))
