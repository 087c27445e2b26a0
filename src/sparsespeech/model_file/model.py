"""The integer model in memory: what a model file holds after every proof of the reader.

Axes: R rows (outputs), C columns (inputs), H cells of one direction, P projected outputs,
F coefficients of one feature frame. Rule numbers refer to ``integer_arithmetic/spec.md``.
All arrays are read-only. No float appears below except where rule R12 and R9 allow one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Graph

IntegerArray = NDArray[np.integer[Any]]
Encoding = Literal["gap8", "huffman"]  # sparse_encoding.py, codebook_encoding.py


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Compressed sparse rows of an integer matrix [R, C]; pruned weights are not stored."""

    shape: tuple[int, int]
    row_start: NDArray[np.int64]  # int64[R + 1], first entry 0, last entry the nonzero count
    column: NDArray[np.int32]  # int32[nonzeros], strictly increasing inside a row
    value: IntegerArray  # int8[nonzeros] (int16 in wide mode, R10), never 0

    @property
    def nonzeros(self) -> int:
        """Number of stored weights."""
        return int(self.value.size)


@dataclass(frozen=True, eq=False)
class Requantizer:
    """Rule R4': multiplier M in [2^15, 2^16) and shift s in [1, 47]; one entry, or one a row."""

    multiplier: NDArray[np.int64]  # int64[1] or int64[R]
    shift: NDArray[np.int64]  # int64[1] or int64[R]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """R4: M / 2^s, float64[1] or float64[R]."""
        ratio: NDArray[np.float64] = self.multiplier / np.exp2(self.shift)
        return ratio


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """Rules R3 and R4: accumulate, requantize, add the zero point, clamp to [low, high]."""

    name: str
    weights: SparseMatrix  # [R, C]
    bias: NDArray[np.int64]  # int32 range (R3), zero point of the input folded in; int64[R]
    requantize: Requantizer
    output_zero_point: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class ConvolutionLayer:
    """Rule R11: rules R3 and R4 on each patch; kernel, stride and padding stand in the graph.

    K input channels, O output channels, kernel (k_t, k_f): weights [O, K * k_t * k_f] with column
    ``(channel * k_t + i) * k_f + j``. Frames are vectors with index ``channel * bins + bin``.
    """

    name: str
    weights: SparseMatrix  # [O, K * k_t * k_f]
    bias: NDArray[np.int64]  # int64[O]
    requantize: Requantizer
    input_zero_point: int  # the value of the borders
    output_zero_point: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class LstmProjection:
    """Rule R8, last sentence: a further accumulate and requantize from m to the output."""

    weights: SparseMatrix  # [P, H]
    bias: NDArray[np.int64]  # int64[P]
    requantize: Requantizer
    output_zero_point: int


@dataclass(frozen=True, eq=False)
class LstmPeephole:
    """Rule R5: int16 weights [3, H] for i, f, o, with one requantizer for all."""

    weights: NDArray[np.int16]
    requantize: Requantizer


@dataclass(frozen=True, eq=False)
class LstmDirection:
    """One direction of an LSTM: rules R3 to R8; gate order i, f, g, o."""

    input_weights: SparseMatrix  # [4H, C]
    recurrent_weights: SparseMatrix  # [4H, H or P]
    input_bias: NDArray[np.int64]  # both bias vectors and the zero point of x; int64[4H]
    recurrent_bias: NDArray[np.int64]  # only -z_h * sum(w_h); int64[4H]
    input_requantize: Requantizer
    recurrent_requantize: Requantizer
    peephole: LstmPeephole | None = None
    projection: LstmProjection | None = None


@dataclass(frozen=True, eq=False)
class LstmLayer:
    """A unidirectional (``backward`` is None) or bidirectional LSTM."""

    name: str
    forward: LstmDirection
    backward: LstmDirection | None
    merge: str  # "concatenate" or "sum" (R11)


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """Rule R9: the logits are the int accumulators; ``scale`` turns them into nats."""

    name: str
    weights: SparseMatrix  # [V, C]
    bias: NDArray[np.int64]  # int64[V]
    scale: NDArray[np.float32]  # float32[1] or float32[V]


IntegerLayer = LinearLayer | ConvolutionLayer | LstmLayer | OutputLayer


@dataclass(frozen=True, eq=False)
class InputQuantization:
    """Rule R12: normalise with mean and deviation, then quantise each frame once to uint8."""

    mean: NDArray[np.float64]  # float64[F]
    deviation: NDArray[np.float64]  # float64[F], all > 0
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """Everything an executor needs, and the facts that a reader of the file wants to see."""

    graph: Graph
    layers: tuple[IntegerLayer, ...]
    labels: tuple[str, ...]  # the alphabet without the blank; the blank is class len(labels)
    features: dict[str, Any]  # see features.mfcc.MfccConfig.to_json
    input: InputQuantization
    tables: dict[str, NDArray[np.int16]]  # "sigmoid_base", "sigmoid_slope": int16[65], int16[64]
    # (R6), or int16[513], int16[512] in wide mode (R10)
    activation_bits: int = 8  # 16 in wide mode (R10)
    training: dict[str, Any] | None = None  # free facts: recipe, corpora, WER, sparsity
    quantization: dict[str, Any] | None = None  # free facts for a person, read by no executor:
    # "weight_scales" by matrix name, as {"layer4.forward.input_weights": 0.01}, or with row scales
    # "weight_scale_ranges" {name: [smallest, largest]}; calibration
    encoding: Encoding = "gap8"  # how a file stores the weights; the same model either way
