"""OpenVINO as a peer: float32 and bfloat16 inference of the ONNX graph.

Axes: T frames, B utterances, I inputs, V labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatNetwork
from sparsespeech.benchmarks.onnx_graph import onnx_model
from sparsespeech.benchmarks.peer import PreparedPeer

_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    """A peer of ``precision`` "fp32" or "bf16" for windows uint8[T, B, I]."""
    core = openvino.Core()
    model = core.read_model(
        onnx_model(network, windows.shape[0], windows.shape[1]).SerializeToString()
    )
    settings = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    feed = [network.real_inputs(windows)]

    def run() -> NDArray[Any]:
        logits: NDArray[Any] = request.infer(feed, share_inputs=True)[0]
        return logits

    used = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    return PreparedPeer(run, {"inference_precision": used})
