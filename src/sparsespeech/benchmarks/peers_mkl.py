"""The sparse products of MKL (inspector-executor, float32) as a peer, through ctypes.

Axes: R rows, C columns, N columns of the dense operand, T frames, B utterances.

MKL has no LSTM, so this peer runs the products of a network and nothing else: each fully
connected layer and each input part as one product with N = T*B columns, each recurrent matrix as
T products with N = B. No glue, no gates: the sum is a lower bound for anything built on MKL. The
operands are fixed random vectors; each product is compared with numpy before it is timed. A
network of one layer computes the real output.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatLinear, FloatNetwork, ScaledMatrix
from sparsespeech.benchmarks.peer import PreparedPeer
from sparsespeech.errors import BenchmarkError

_NO_TRANSPOSE, _INDEX_FROM_ZERO, _GENERAL = 10, 0, 20
_ROW_MAJOR, _COLUMN_MAJOR = 101, 102
_EXPECTED_CALLS = 1000  # tells the inspector that its work will pay
_TOLERANCE = 1e-3  # of the largest entry: float32 sums in another order

_Float32 = NDArray[np.float32]


class _Description(ctypes.Structure):
    """matrix_descr: type, triangle and diagonal; the last two only matter for triangles."""

    _fields_ = (("type", ctypes.c_int), ("mode", ctypes.c_int), ("diagonal", ctypes.c_int))


_DESCRIPTION = _Description(_GENERAL, 0, 0)


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    """A peer for windows uint8[T, B, I]; the only ``precision`` is "fp32".

    Raises BenchmarkError if a product of MKL differs from numpy's or MKL reports a failure.
    """
    if precision != "fp32":
        raise ValueError(f"MKL's sparse products are timed in fp32, not {precision!r}")
    library = _Library(threads)
    frames, batch, _ = windows.shape
    if len(network.layers) == 1 and isinstance(network.layers[0], FloatLinear):
        return _single_product(library, network, windows)
    calls: list[tuple[Callable[[], None], int]] = []
    rng = np.random.default_rng(1)
    for weights, times, columns in _products(network, frames, batch):
        operand = rng.standard_normal((weights.matrix.shape[1], columns), dtype=np.float32)
        calls.append((_Product(library, weights, operand).run, times))

    def run() -> NDArray[Any]:
        for call, times in calls:
            for _ in range(times):
                call()
        return np.zeros(0, dtype=np.float32)

    return PreparedPeer(run)


def _products(
    network: FloatNetwork, frames: int, batch: int
) -> list[tuple[ScaledMatrix, int, int]]:
    """Each matrix, how often it is used, and with how many columns."""
    products: list[tuple[ScaledMatrix, int, int]] = []
    for layer in network.layers:
        if isinstance(layer, FloatLinear):
            products.append((layer.weights, 1, frames * batch))
            continue
        for direction in layer.directions:
            products.append((direction.input_weights, 1, frames * batch))
            products.append((direction.recurrent_weights, frames, batch))
            if direction.projection is not None:
                products.append((direction.projection, frames, batch))
    return products


def _single_product(
    library: _Library, network: FloatNetwork, windows: NDArray[np.uint8]
) -> PreparedPeer:
    layer = network.layers[0]
    assert isinstance(layer, FloatLinear)
    frames, batch, width = windows.shape
    operand = network.real_inputs(windows).reshape(frames * batch, width).T
    product = _Product(library, layer.weights, operand)

    def run() -> NDArray[Any]:
        product.run()
        return product.result

    def finish(result: NDArray[Any]) -> NDArray[Any]:
        logits: NDArray[Any] = (result.T + layer.bias).reshape(frames, batch, -1)
        return logits

    return PreparedPeer(run, {"layout": product.layout}, finish)


def find_library() -> Path | None:
    """The library of the PyPI wheel ``mkl``, which holds no Python module; None without it."""
    return max(Path(sys.prefix, "lib").glob("libmkl_rt.so*"), default=None)


class _Library:
    """MKL, limited to some threads."""

    def __init__(self, threads: int) -> None:
        path = find_library()
        if path is None:
            raise BenchmarkError(f"no libmkl_rt.so in {sys.prefix}/lib: pip install mkl")
        self._library = ctypes.CDLL(str(path))
        self._library.MKL_Set_Num_Threads(ctypes.c_int(threads))
        self._library.MKL_Set_Dynamic(ctypes.c_int(0))

    def call(self, name: str, *arguments: object) -> None:
        """Call a function that returns sparse_status_t."""
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise BenchmarkError(f"MKL's {name} failed with status {status}")


class _Product:
    """One sparse matrix times one dense operand [C, N], in the faster of the two layouts."""

    def __init__(self, library: _Library, weights: ScaledMatrix, operand: _Float32) -> None:
        self._library = library
        self._weights = weights
        self._handle = ctypes.c_void_p()
        matrix = weights.matrix
        rows, columns = matrix.shape
        self._row_start = matrix.row_start.astype(np.int32)
        self._columns = matrix.column.astype(np.int32)
        self._values = weights.values().astype(np.float32)
        library.call(
            "mkl_sparse_s_create_csr",
            ctypes.byref(self._handle),
            _INDEX_FROM_ZERO,
            rows,
            columns,
            _pointer(self._row_start),
            _pointer(self._row_start[1:]),
            _pointer(self._columns),
            _pointer(self._values),
        )
        self.result: _Float32
        self.run: Callable[[], None]
        self.layout = "vector"
        if operand.shape[1] == 1:
            self._use_vector(np.ascontiguousarray(operand[:, 0]))
        else:
            self._use_matrix(operand)
        self._check(operand)

    def _use_vector(self, x: _Float32) -> None:
        y = np.zeros(self._weights.matrix.shape[0], dtype=np.float32)
        self._library.call(
            "mkl_sparse_set_mv_hint", self._handle, _NO_TRANSPOSE, _DESCRIPTION, _EXPECTED_CALLS
        )
        self._library.call("mkl_sparse_optimize", self._handle)
        one, zero = ctypes.c_float(1.0), ctypes.c_float(0.0)
        px, py = _pointer(x), _pointer(y)

        def run() -> None:
            self._library.call(
                "mkl_sparse_s_mv",
                *(_NO_TRANSPOSE, one, self._handle, _DESCRIPTION, px, zero, py),
            )

        self._operand, self.result, self.run = x, y[:, np.newaxis], run

    def _use_matrix(self, operand: _Float32) -> None:
        timed = [self._timed_layout(operand, layout) for layout in (_ROW_MAJOR, _COLUMN_MAJOR)]
        _, self.run, self.result, self.layout = min(timed, key=lambda entry: entry[0])

    def _timed_layout(
        self, operand: _Float32, layout: int
    ) -> tuple[float, Callable[[], None], _Float32, str]:
        rows, _ = self._weights.matrix.shape
        count = operand.shape[1]
        order: Literal["C", "F"] = "C" if layout == _ROW_MAJOR else "F"
        x = np.array(operand, dtype=np.float32, order=order)
        y = np.zeros((rows, count), dtype=np.float32, order=order)
        leading = (count, count) if layout == _ROW_MAJOR else (operand.shape[0], rows)
        self._library.call(
            "mkl_sparse_set_mm_hint",
            *(self._handle, _NO_TRANSPOSE, _DESCRIPTION, layout, count, _EXPECTED_CALLS),
        )
        self._library.call("mkl_sparse_optimize", self._handle)
        one, zero = ctypes.c_float(1.0), ctypes.c_float(0.0)
        px, py = _pointer(x), _pointer(y)

        def run(keep: _Float32 = x) -> None:  # ``keep`` holds the operand in memory
            self._library.call(
                "mkl_sparse_s_mm",
                *(_NO_TRANSPOSE, one, self._handle, _DESCRIPTION),
                *(layout, px, count, leading[0], zero, py, leading[1]),
            )

        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times), run, y, "row-major" if layout == _ROW_MAJOR else "column-major"

    def _check(self, operand: _Float32) -> None:
        """Compare some rows with numpy."""
        self.run()
        matrix = self._weights.matrix
        for row in np.linspace(0, matrix.shape[0] - 1, 32).astype(int):
            part = slice(int(matrix.row_start[row]), int(matrix.row_start[row + 1]))
            expected = self._values[part] @ operand[matrix.column[part]]
            error = float(np.abs(self.result[row] - expected).max())
            if error > _TOLERANCE * max(1.0, float(np.abs(self.result).max())):
                raise BenchmarkError(f"MKL's product differs from numpy's by {error} in row {row}")


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
