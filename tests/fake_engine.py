"""Stands in for the compiled module: the same interface, computed by the numpy reference.

It takes what ``cpu_engine.layers`` describes and nothing else, so it proves the descriptions too.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable
from sparsespeech.integer_arithmetic.lstm import LstmState, initial_state
from sparsespeech.integer_arithmetic.vectorized_lstm import VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import VectorizedLinear, VectorizedOutput
from sparsespeech.model_file.model import (
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)

INSTRUCTION_SETS = ["scalar", "avx2"]
TYPES = {
    "row_start": np.int64,
    "column": np.int32,
    "value": np.int8,
    "bias": np.int64,
    "multiplier": np.int64,
    "shift": np.int64,
}


@dataclass
class State:
    layers: list[LstmState]

    @property
    def bytes(self) -> int:
        return sum(state.cell.size * 2 + state.output.size for state in self.layers)


class FakeEngine:
    def __init__(
        self,
        layers: list[dict[str, Any]],
        sigmoid_base: NDArray[np.int16],
        sigmoid_slope: NDArray[np.int16],
        instruction_set: str,
        threads: int,
        options: dict[str, object],
    ) -> None:
        assert instruction_set in INSTRUCTION_SETS
        assert threads >= 1
        if options.get("fail"):
            raise options["fail"]
        self.instruction_set, self.threads = instruction_set, threads
        self.layer_names = [layer["name"] for layer in layers]
        self.packed_bytes = 123
        self.matrix_report = [{"name": name} for name in self.layer_names]
        self.fail: BaseException | None = None  # raised by the next run
        self.batches: list[int] = []  # sizes of all runs
        table = SigmoidTable(sigmoid_base, sigmoid_slope)
        self._layers = [_layer(description, table) for description in layers]

    def new_state(self) -> State:
        lstms = [layer for layer in self._layers if isinstance(layer, VectorizedLstm)]
        return State([initial_state(lstm._directions[0], wide=False) for lstm in lstms])

    def run(
        self, windows: list[NDArray[np.uint8]], states: list[State | None]
    ) -> tuple[list[NDArray[np.int64]], list[float]]:
        assert len(windows) == len(states)
        assert all(w.dtype == np.uint8 and w.flags.c_contiguous for w in windows)
        self.batches.append(len(windows))
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        logits = [self._run(w, state) for w, state in zip(windows, states, strict=True)]
        return logits, [0.0] * len(self._layers)

    def _run(self, x: NDArray[Any], state: State | None) -> NDArray[np.int64]:
        lstms = 0
        for layer in self._layers:
            if isinstance(layer, VectorizedLstm) and state is not None:
                (x,), (state.layers[lstms],) = layer.run_from(x, [state.layers[lstms]])
                lstms += 1
            else:
                x = layer.run(x)
        return x


def fake_native() -> ModuleType:
    """A module like ``sparsespeech._native``."""
    module = ModuleType("sparsespeech._native")
    module.__spec__ = importlib.machinery.ModuleSpec("sparsespeech._native", None)
    module.instruction_sets = lambda: list(INSTRUCTION_SETS)
    module.engine = SimpleNamespace(Engine=FakeEngine)
    return module


def put_fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package find the fake where the compiled module would be."""
    importlib.import_module("sparsespeech.recogniser")  # takes other parts of the real one first
    monkeypatch.setitem(sys.modules, "sparsespeech._native", fake_native())


def _layer(description: dict[str, Any], table: SigmoidTable) -> Any:
    _check_arrays(description)
    kind, name = description["kind"], description["name"]
    if kind == "lstm":
        directions = [_direction(each) for each in description["directions"]]
        backward = directions[1] if len(directions) == 2 else None
        layer = LstmLayer(name, directions[0], backward, "concatenate")
        return VectorizedLstm(layer, table, wide=False)
    weights, bias = _matrix(description["weights"])
    if kind == "output":
        scale = np.ones(1, dtype=np.float32)
        return VectorizedOutput(OutputLayer(name, weights, bias, scale), wide=False)
    assert kind == "linear"
    clamp = [description[key] for key in ("zero_point", "low", "high")]
    linear = LinearLayer(name, weights, bias, _scales(description), *clamp)
    return VectorizedLinear(linear, wide=False)


def _direction(description: dict[str, Any]) -> LstmDirection:
    input_weights, input_bias = _matrix(description["input"])
    recurrent_weights, recurrent_bias = _matrix(description["recurrent"])
    peephole = projection = None
    if "peephole" in description:
        weights = description["peephole"]["weights"]
        assert weights.dtype == np.int16
        peephole = LstmPeephole(weights, _scales(description["peephole"]))
    if "projection" in description:
        part = description["projection"]
        projection = LstmProjection(*_matrix(part["weights"]), _scales(part), part["zero_point"])
    return LstmDirection(
        input_weights,
        recurrent_weights,
        input_bias,
        recurrent_bias,
        _scales(description, "input_"),
        _scales(description, "recurrent_"),
        peephole,
        projection,
    )


def _matrix(description: dict[str, Any]) -> tuple[SparseMatrix, NDArray[np.int64]]:
    arrays = [description[name] for name in ("row_start", "column", "value")]
    shape = (description["rows"], description["columns"])
    return SparseMatrix(shape, *arrays), description["bias"]


def _scales(description: dict[str, Any], prefix: str = "") -> Requantizer:
    return Requantizer(description[f"{prefix}multiplier"], description[f"{prefix}shift"])


def _check_arrays(description: object) -> None:
    if isinstance(description, list | tuple):
        for each in description:
            _check_arrays(each)
    if isinstance(description, dict):
        for name, value in description.items():
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous, name
                kind = TYPES.get(name.removeprefix("input_").removeprefix("recurrent_"), np.int16)
                assert value.dtype == kind, name
            _check_arrays(value)
