"""The reference for streams: one utterance of a unidirectional model, given in chunks.

Axes: t frames of a chunk, C inputs of the first layer, V labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import InputWindowsError, SessionFinishedError, UnsupportedLayerError
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable
from sparsespeech.integer_arithmetic.lstm import initial_state
from sparsespeech.integer_arithmetic.vectorized_lstm import VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import (
    VectorizedLinear,
    VectorizedOutput,
    activation_type,
)
from sparsespeech.model_file.model import (
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmLayer,
    OutputLayer,
)

Activations = NDArray[np.integer[Any]]


class ReferenceSession:
    """The joined logits are those of the whole utterance, wherever it was cut (R12)."""

    def __init__(self, model: IntegerModel) -> None:
        """Start an utterance.

        Raises UnsupportedLayerError for a model that reads backwards, or convolves over time.
        """
        wide = model.activation_bits == 16
        table = SigmoidTable(model.tables["sigmoid_base"], model.tables["sigmoid_slope"])
        self._type = activation_type(wide=wide)
        self._layers = [_continued(layer, table, wide) for layer in model.layers]
        self._frames = 0
        self._finished = False

    def push(self, windows: Activations) -> NDArray[np.int64]:
        """Logits int64[t, V] of the next windows uint8[t, C] (int16 in wide mode).

        Raises SessionFinishedError after :meth:`finish`, InputWindowsError for another type.
        """
        self._check_unfinished()
        if windows.dtype != self._type or windows.ndim != 2:
            raise InputWindowsError(
                f"feature windows are {windows.dtype.name}{list(windows.shape)}, expected "
                f"{np.dtype(self._type).name}[frames, inputs]"
            )
        activations = windows
        for run_layer in self._layers:
            activations = run_layer(activations)
        self._frames += len(windows)
        return activations.astype(np.int64, copy=False)

    def finish(self) -> None:
        """End the utterance; raises SessionFinishedError the second time."""
        self._check_unfinished()
        self._finished = True

    def _check_unfinished(self) -> None:
        if self._finished:
            raise SessionFinishedError(
                f"the session was finished after {self._frames} frames and takes no more; start a "
                "new one for the next utterance"
            )


def _continued(
    layer: IntegerLayer, table: SigmoidTable, wide: bool
) -> Callable[[Activations], Activations]:
    match layer:
        case LinearLayer():
            return VectorizedLinear(layer, wide=wide).run
        case OutputLayer():
            return VectorizedOutput(layer, wide=wide).run
        case LstmLayer(backward=None):
            return _ContinuedLstm(layer, table, wide=wide).run
    raise UnsupportedLayerError(
        f"a stream needs a unidirectional model without convolutions; layer {layer.name!r} needs "
        "later frames; transcribe the recording when it is complete, or train a model with "
        "`bidirectional: false`"
    )


class _ContinuedLstm:
    """A unidirectional LSTM that goes on where the last chunk ended."""

    def __init__(self, layer: LstmLayer, table: SigmoidTable, *, wide: bool) -> None:
        self._lstm = VectorizedLstm(layer, table, wide=wide)
        self._states = [initial_state(layer.forward, wide=wide)]

    def run(self, x: Activations) -> Activations:
        """Activations [t, C] to activations [t, N]."""
        (outputs,), self._states = self._lstm.run_from(x, self._states)
        return outputs
