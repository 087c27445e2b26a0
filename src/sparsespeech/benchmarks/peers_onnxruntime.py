"""ONNX Runtime as a peer: float32, and dynamic int8 as its own quantizer makes it.

Axes: T frames, B utterances, I inputs, V labels.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatNetwork
from sparsespeech.benchmarks.onnx_graph import onnx_model
from sparsespeech.benchmarks.peer import PreparedPeer


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    """A peer of ``precision`` "fp32" or "int8" for windows uint8[T, B, I]."""
    model = onnx_model(network, windows.shape[0], windows.shape[1])
    if precision == "int8":
        model = _quantized(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"windows": network.real_inputs(windows)}

    def run() -> NDArray[Any]:
        logits: NDArray[Any] = session.run(None, feed)[0]
        return logits

    return PreparedPeer(run)


def _quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights int8, activations quantized as they come, for MatMul and LSTM."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it advises a shape inference that changes nothing
    with _inside_new_folder():
        quantize_dynamic(model, "quantized.onnx", weight_type=QuantType.QInt8)
        return onnx.load("quantized.onnx")


@contextlib.contextmanager
def _inside_new_folder() -> Iterator[None]:
    """The quantizer leaves files beside its output."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
