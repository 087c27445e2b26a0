"""The reference executor: an IntegerModel run by rules R1 to R13 in numpy and scipy.

Axes: T frames, C inputs of the first layer, V labels. Two methods give the same bits:
``definitional`` follows ``operators`` and ``lstm`` line by line (minutes for a second of audio),
``vectorized`` is for use.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.graph import Conv2d, Layer
from sparsespeech.integer_arithmetic import lstm, operators
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable
from sparsespeech.integer_arithmetic.reference_session import ReferenceSession
from sparsespeech.integer_arithmetic.vectorized_lstm import VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import (
    VectorizedConvolution,
    VectorizedLinear,
    VectorizedOutput,
    activation_type,
)
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmLayer,
    OutputLayer,
)

Activations = NDArray[np.integer[Any]]
LayerFunction = Callable[[Any], Activations]


class ReferenceExecutor:
    """Runs one model on whole utterances; it keeps no state between calls."""

    def __init__(
        self,
        model: IntegerModel,
        *,
        method: Literal["vectorized", "definitional"] = "vectorized",
        threads: int | Literal["auto"] = "auto",
    ) -> None:
        """Prepare every layer of ``model``, whose proofs (R3, R4, R5) the reader has made.

        ``threads`` bounds what other executors use; this one computes on the caller's thread.
        Raises UnsupportedLayerError if a layer and its graph entry do not belong together.
        """
        wide = model.activation_bits == 16
        table = SigmoidTable(model.tables["sigmoid_base"], model.tables["sigmoid_slope"])
        prepare = _vectorized if method == "vectorized" else _definitional
        self._type = activation_type(wide=wide)
        self._model = model
        self._layers = [
            (layer.name, prepare(layer, entry, table, wide))
            for layer, entry in zip(model.layers, model.graph.layers, strict=True)
        ]

    def run(self, windows: Activations) -> NDArray[np.int64]:
        """Logits (R9) of one utterance: uint8[T, C] (int16 in wide mode) to int64[T, V].

        Raises ValueError if ``windows`` has another type or shape.
        """
        return self.run_timed(windows)[0]

    def run_timed(self, windows: Activations) -> tuple[NDArray[np.int64], list[tuple[str, float]]]:
        """:meth:`run`, and the seconds that each layer took, in order."""
        if windows.dtype != self._type or windows.ndim != 2:
            raise ValueError(
                f"feature windows must be {np.dtype(self._type).name}[T, C], "
                f"not {windows.dtype.name} of shape {windows.shape}"
            )
        activations: Activations = windows
        times: list[tuple[str, float]] = []
        for name, run_layer in self._layers:
            start = time.perf_counter()
            activations = run_layer(activations)
            times.append((name, time.perf_counter() - start))
        return activations.astype(np.int64, copy=False), times

    def stream(self) -> ReferenceSession:
        """A new utterance that comes in chunks.

        Raises UnsupportedLayerError for a model that reads backwards, or convolves over time.
        """
        return ReferenceSession(self._model)


def _vectorized(
    layer: IntegerLayer, entry: Layer, table: SigmoidTable, wide: bool
) -> LayerFunction:
    match layer, entry:
        case LinearLayer(), _:
            return VectorizedLinear(layer, wide=wide).run
        case ConvolutionLayer(), Conv2d():
            return VectorizedConvolution(layer, entry, wide=wide).run
        case LstmLayer(), _:
            return VectorizedLstm(layer, table, wide=wide).run
        case OutputLayer(), _:
            return VectorizedOutput(layer, wide=wide).run
    raise UnsupportedLayerError(_mismatch(layer, entry))


def _definitional(
    layer: IntegerLayer, entry: Layer, table: SigmoidTable, wide: bool
) -> LayerFunction:
    match layer, entry:
        case LinearLayer(), _:
            return lambda x: operators.linear(layer, x.astype(np.int64))
        case ConvolutionLayer(), Conv2d():
            return lambda x: operators.convolution(layer, entry, x.astype(np.int64))
        case LstmLayer(), _:
            return lambda x: lstm.lstm(layer, x.astype(np.int64), table, wide=wide)
        case OutputLayer(), _:
            return lambda x: operators.output(layer, x.astype(np.int64))
    raise UnsupportedLayerError(_mismatch(layer, entry))


def _mismatch(layer: IntegerLayer, entry: Layer) -> str:
    return (
        f"layer {layer.name!r} is a {type(layer).__name__}, but the graph has a "
        f"{type(entry).__name__} in its place; convert the model again"
    )
