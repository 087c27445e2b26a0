"""A peer for tests: the float network in numpy, written down once more from the equations.

``precision`` "fp32" is right, "noise" computes something else, "broken" cannot start,
"fragile" ends its process in the second run.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatLstm, FloatNetwork
from sparsespeech.benchmarks.peer import PreparedPeer


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    print("libraries print to stdout")
    if precision == "broken":
        raise RuntimeError("no such accelerator")
    runs = []

    def run() -> NDArray[Any]:
        runs.append(1)
        if precision == "fragile" and len(runs) > 1:
            os._exit(3)
        logits = forward(network, windows)
        noise = np.random.default_rng(0).normal(size=logits.shape)
        return noise if precision == "noise" else logits

    return PreparedPeer(run, {"threads": str(threads)})


def forward(network: FloatNetwork, windows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logits float64[T, B, V] of uint8[T, B, I]."""
    x = network.real_inputs(windows).astype(np.float64)
    for layer in network.layers:
        if isinstance(layer, FloatLstm):
            sides = [_direction(d, x[:: -1 if n else 1]) for n, d in enumerate(layer.directions)]
            if len(sides) == 2:
                sides[1] = sides[1][::-1]
            x = np.concatenate(sides, axis=-1)
        else:
            x = np.clip(x @ layer.weights.dense().T + layer.bias, layer.low, layer.high)
    return x


def _direction(direction: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
    input_part = x @ direction.input_weights.dense().T + direction.bias
    recurrent = direction.recurrent_weights.dense().T
    projection = direction.projection.dense().T if direction.projection else None
    h = np.zeros((x.shape[1], recurrent.shape[0]))
    c = np.zeros((x.shape[1], recurrent.shape[1] // 4))
    outputs = []
    for gates in input_part:
        i, f, g, o = np.split(gates + h @ recurrent, 4, axis=-1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        h = h if projection is None else h @ projection
        outputs.append(h)
    return np.stack(outputs)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / (1 + np.exp(-x))
    return result
