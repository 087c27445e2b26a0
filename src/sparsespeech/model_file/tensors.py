"""The tensors of a model file and the layers that they form.

Axes: R rows, C columns, H cells of one direction, P projected outputs, V labels, F coefficients.
``model_tensors`` and ``model_from_tensors`` are each other's inverse; names, dtypes and shapes
are listed in ``format.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.graph import Conv2d, Layer, Linear, Lstm
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.model_file.codebook_encoding import CodedMatrix, decode_matrix, encode_matrix
from sparsespeech.model_file.container import Tensors
from sparsespeech.model_file.huffman import CodedStream
from sparsespeech.model_file.manifest import Manifest
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    Encoding,
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)
from sparsespeech.model_file.sparse_encoding import decode_gaps, encode_gaps

DIRECTIONS = ("forward", "backward")
TABLE_SEGMENTS = {8: 64, 16: 512}  # R6 and R10, by activation bits


def model_tensors(model: IntegerModel) -> Tensors:
    """All tensors of ``model`` by name, in their stored dtypes; the model must be valid."""
    wide = model.activation_bits == 16
    tensors: Tensors = {
        "input.mean": model.input.mean,
        "input.deviation": model.input.deviation,
        "input.scale": np.array([model.input.scale]),
        "tables.sigmoid_base": model.tables["sigmoid_base"],
        "tables.sigmoid_slope": model.tables["sigmoid_slope"],
    }
    for layer in model.layers:
        if isinstance(layer, LstmLayer):
            for direction in DIRECTIONS:
                part = getattr(layer, direction)
                if part is not None:
                    _put_direction(tensors, f"{layer.name}.{direction}", part, model)
            continue
        _put_matrix(tensors, f"{layer.name}.weights", layer.weights, model)
        _put_bias(tensors, f"{layer.name}.bias", layer.bias, wide)
        if isinstance(layer, OutputLayer):
            tensors[f"{layer.name}.logit_scale"] = layer.scale
        else:
            _put_requantizer(tensors, f"{layer.name}.requantize", layer.requantize)
    return tensors


def model_from_tensors(manifest: Manifest, tensors: Tensors) -> IntegerModel:
    """The model of a file whose graph is already proved.

    Raises ModelFileError (rule F13) for a tensor that is missing, not expected or of another
    dtype or shape, and (rule F14) for a sparse matrix that does not decode.
    """
    if manifest.activation_bits not in TABLE_SEGMENTS:
        raise ModelFileError(
            f"quantization: activation_bits must be 8 or 16, got "
            f"{manifest.activation_bits} (rule F11)"
        )
    source = _TensorSource(tensors, wide=manifest.activation_bits == 16, encoding=manifest.encoding)
    segments = TABLE_SEGMENTS[manifest.activation_bits]
    coefficients = manifest.features["coefficients"]
    layers = tuple(
        _layer(source, layer, manifest.layer_integers.get(layer.name, {}))
        for layer in manifest.graph.layers
    )
    model = IntegerModel(
        graph=manifest.graph,
        layers=layers,
        labels=manifest.labels,
        features=manifest.features,
        input=InputQuantization(
            mean=source.take("input.mean", "f8", (coefficients,)),
            deviation=source.take("input.deviation", "f8", (coefficients,)),
            scale=float(source.take("input.scale", "f8", (1,))[0]),
            zero_point=manifest.input_zero_point,
        ),
        tables={
            "sigmoid_base": source.take("tables.sigmoid_base", "i2", (segments + 1,)),
            "sigmoid_slope": source.take("tables.sigmoid_slope", "i2", (segments,)),
        },
        activation_bits=manifest.activation_bits,
        training=manifest.training,
        quantization=manifest.quantization,
        encoding=manifest.encoding,
    )
    source.finish()
    return model


def _put_direction(tensors: Tensors, name: str, part: LstmDirection, model: IntegerModel) -> None:
    wide = model.activation_bits == 16
    _put_matrix(tensors, f"{name}.input_weights", part.input_weights, model)
    _put_bias(tensors, f"{name}.input_bias", part.input_bias, wide)
    _put_requantizer(tensors, f"{name}.input_requantize", part.input_requantize)
    _put_matrix(tensors, f"{name}.recurrent_weights", part.recurrent_weights, model)
    _put_bias(tensors, f"{name}.recurrent_bias", part.recurrent_bias, wide)
    _put_requantizer(tensors, f"{name}.recurrent_requantize", part.recurrent_requantize)
    if part.peephole is not None:
        tensors[f"{name}.peephole.weights"] = part.peephole.weights
        _put_requantizer(tensors, f"{name}.peephole.requantize", part.peephole.requantize)
    if part.projection is not None:
        _put_matrix(tensors, f"{name}.projection.weights", part.projection.weights, model)
        _put_bias(tensors, f"{name}.projection.bias", part.projection.bias, wide)
        _put_requantizer(tensors, f"{name}.projection.requantize", part.projection.requantize)


def _put_matrix(tensors: Tensors, name: str, matrix: SparseMatrix, model: IntegerModel) -> None:
    wide = model.activation_bits == 16
    for part, tensor in matrix_tensors(matrix, model.encoding, wide=wide).items():
        tensors[f"{name}.{part}"] = tensor


def matrix_tensors(matrix: SparseMatrix, encoding: Encoding, *, wide: bool) -> Tensors:
    """The tensors of one sparse matrix, by the last part of their names."""
    dtype = np.int16 if wide else np.int8
    if encoding == "huffman":
        gaps, codebook, codes = encode_matrix(matrix)
        streams = {"gap": gaps, "code": codes}
        tensors: Tensors = {"codebook": codebook.astype(dtype)}
        for word, stream in streams.items():
            for part, tensor in stream._asdict().items():
                tensors[f"{word}_{part}"] = tensor
        return tensors
    row_nonzeros, gap_bytes = encode_gaps(matrix)
    return {
        "row_nonzeros": row_nonzeros,
        "gaps": gap_bytes,
        "values": matrix.value.astype(dtype),
    }


def _put_bias(tensors: Tensors, name: str, bias: NDArray[np.int64], wide: bool) -> None:
    tensors[name] = bias.astype(np.int64 if wide else np.int32)


def _put_requantizer(tensors: Tensors, name: str, requantizer: Requantizer) -> None:
    tensors[f"{name}.multiplier"] = requantizer.multiplier.astype(np.uint16)
    tensors[f"{name}.shift"] = requantizer.shift.astype(np.uint8)


class _TensorSource:
    """Hands out each tensor once, with the dtype and shape that the graph demands (rule F13)."""

    def __init__(self, tensors: Tensors, *, wide: bool, encoding: Encoding) -> None:
        self._left = dict(tensors)
        self._encoding = encoding
        self.weight_code = "i2" if wide else "i1"
        self.bias_code = "i8" if wide else "i4"

    def take(
        self, name: str, code: str, shape: tuple[int | None, ...], *, or_one: bool = False
    ) -> NDArray[Any]:
        """A read-only copy; ``None`` in ``shape`` is any count, ``or_one`` allows shape [1]."""
        if name not in self._left:
            raise ModelFileError(f"tensor {name!r}: is missing (rule F13)")
        tensor = self._left.pop(name)
        dtype = np.dtype(code).newbyteorder("<")
        fits = len(tensor.shape) == len(shape) and all(
            wanted in (None, count) for wanted, count in zip(shape, tensor.shape, strict=True)
        )
        if tensor.dtype != dtype or not (fits or (or_one and tensor.shape == (1,))):
            wanted = ", ".join("any" if count is None else str(count) for count in shape)
            raise ModelFileError(
                f"tensor {name!r}: is {tensor.dtype.name}{list(tensor.shape)}, the graph needs "
                f"{dtype.name}[{wanted}]{' or [1]' if or_one else ''} (rule F13)"
            )
        return _frozen(tensor.astype(dtype.newbyteorder("=")))

    def finish(self) -> None:
        """Refuse tensors that no layer asked for."""
        if self._left:
            raise ModelFileError(
                f"tensor {shown(min(self._left))}: belongs to no layer of the graph (rule F13)"
            )

    def matrix(self, name: str, rows: int, columns: int) -> SparseMatrix:
        if self._encoding == "huffman":
            return self._coded_matrix(name, rows, columns)
        counts = self.take(f"{name}.row_nonzeros", "u2", (rows,))
        value = self.take(f"{name}.values", self.weight_code, (None,))
        gaps = self.take(f"{name}.gaps", "u1", (None,))
        row_start, column = decode_gaps(name, columns, counts, gaps, value.size)
        return SparseMatrix((rows, columns), _frozen(row_start), _frozen(column), value)

    def _coded_matrix(self, name: str, rows: int, columns: int) -> SparseMatrix:
        gaps = self._stream(f"{name}.gap")
        codebook = self.take(f"{name}.codebook", self.weight_code, (None,))
        coded = CodedMatrix(gaps, codebook, self._stream(f"{name}.code"))
        matrix = decode_matrix(name, (rows, columns), coded)
        for array in (matrix.row_start, matrix.column, matrix.value):
            _frozen(array)
        return matrix

    def _stream(self, name: str) -> CodedStream:
        return CodedStream(
            self.take(f"{name}_lengths", "u1", (None,)),
            self.take(f"{name}_blocks", "u2", (None,)),
            self.take(f"{name}_bits", "u1", (None,)),
        )

    def bias(self, name: str, rows: int) -> NDArray[np.int64]:
        return _frozen(self.take(name, self.bias_code, (rows,)).astype(np.int64))

    def requantizer(self, name: str, rows: int) -> Requantizer:
        multiplier = self.take(f"{name}.multiplier", "u2", (rows,), or_one=True)
        shift = self.take(f"{name}.shift", "u1", multiplier.shape)
        return Requantizer(_frozen(multiplier.astype(np.int64)), _frozen(shift.astype(np.int64)))


def _layer(source: _TensorSource, layer: Layer, integers: dict[str, int]) -> IntegerLayer:
    if isinstance(layer, Lstm):
        projected = integers.get("output_zero_point", 0)
        forward = _direction(source, f"{layer.name}.forward", layer, projected)
        backward = None
        if layer.bidirectional:
            backward = _direction(source, f"{layer.name}.backward", layer, projected)
        return LstmLayer(layer.name, forward, backward, layer.merge)
    if isinstance(layer, Conv2d):
        rows = layer.output_channels
        columns = layer.input_channels * layer.kernel[0] * layer.kernel[1]
    else:
        rows, columns = layer.outputs, layer.inputs
    weights = source.matrix(f"{layer.name}.weights", rows, columns)
    bias = source.bias(f"{layer.name}.bias", rows)
    if isinstance(layer, Linear):
        return LinearLayer(
            layer.name,
            weights,
            bias,
            source.requantizer(f"{layer.name}.requantize", rows),
            **integers,
        )
    if isinstance(layer, Conv2d):
        return ConvolutionLayer(
            layer.name,
            weights,
            bias,
            source.requantizer(f"{layer.name}.requantize", rows),
            **integers,
        )
    scale = source.take(f"{layer.name}.logit_scale", "f4", (rows,), or_one=True)
    return OutputLayer(layer.name, weights, bias, scale)


def _direction(
    source: _TensorSource, name: str, layer: Lstm, projected_zero_point: int
) -> LstmDirection:
    rows = 4 * layer.cells
    peephole, projection = None, None
    if layer.peephole:
        peephole = LstmPeephole(
            source.take(f"{name}.peephole.weights", "i2", (3, layer.cells)),
            source.requantizer(f"{name}.peephole.requantize", 1),
        )
    if layer.projection is not None:
        projection = LstmProjection(
            source.matrix(f"{name}.projection.weights", layer.projection, layer.cells),
            source.bias(f"{name}.projection.bias", layer.projection),
            source.requantizer(f"{name}.projection.requantize", layer.projection),
            projected_zero_point,
        )
    return LstmDirection(
        input_weights=source.matrix(f"{name}.input_weights", rows, layer.inputs),
        recurrent_weights=source.matrix(f"{name}.recurrent_weights", rows, layer.recurrent_inputs),
        input_bias=source.bias(f"{name}.input_bias", rows),
        recurrent_bias=source.bias(f"{name}.recurrent_bias", rows),
        input_requantize=source.requantizer(f"{name}.input_requantize", rows),
        recurrent_requantize=source.requantizer(f"{name}.recurrent_requantize", rows),
        peephole=peephole,
        projection=projection,
    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
