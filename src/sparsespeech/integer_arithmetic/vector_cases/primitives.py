"""Vectors of the single rules: R1, R2 with R12, R3's bias, R4, R5, R6, R7 with R8, R13."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic import fixed_point
from sparsespeech.integer_arithmetic.lookup_tables import (
    SEGMENTS,
    WIDE_SEGMENTS,
    sigmoid,
    sigmoid_table,
    tanh,
)
from sparsespeech.integer_arithmetic.lstm import quantize_output
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vector_cases.storage import Tensors, Vector

Integers = NDArray[np.int64]

INT16_EDGES = np.concatenate(
    [
        [-32768, -32767, -16385, -16384, -16383, -257, -256, -255, -129, -128, -127, -1, 0, 1],
        [31, 32, 33, 127, 128, 129, 255, 256, 257, 16383, 16384, 16385, 32766, 32767],
    ]
)


def primitive_vectors() -> list[Vector]:
    """All vectors of single rules."""
    return [
        _weights(),
        _activations(),
        _folded_bias(),
        _requantize(),
        _gates(),
        _tables(SEGMENTS, "r06_sigmoid_tanh", ("R6",)),
        _tables(WIDE_SEGMENTS, "r10_sigmoid_tanh_wide", ("R6", "R10")),
        _cell_and_output(),
        _multipliers(),
    ]


def _weights() -> Vector:
    """Ties at every half step, a dominated row, an all-zero row, an all-zero matrix."""
    random = SeededIntegers("weights")
    halves = np.arange(-254, 255, 4) / 2.0  # with max 127 the scale is 1: every half is a tie
    real = random.integers(-(10**6), 10**6, (6, halves.size)) / 3.0e5
    real *= random.integers(0, 3, real.shape) == 0  # sparse
    real[0], real[1], real[2] = halves, halves - 0.5, 0.0
    real[1] = np.clip(real[1], -127, 127)
    tensors: Tensors = {"real": real}
    for bits in fixed_point.WEIGHT_MAXIMUM:
        for name, per_row in (("matrix", False), ("row", True)):
            weights, scale = fixed_point.quantize_weights(real, bits=bits, per_row=per_row)
            tensors[f"weights_{bits}_{name}"] = weights
            tensors[f"scale_{bits}_{name}"] = scale
    zero, zero_scale = fixed_point.quantize_weights(np.zeros((2, 3)))
    tensors |= {"zero_weights": zero, "zero_scale": zero_scale}
    about = "real[R, C] to weights_BITS_matrix and weights_BITS_row with their scales"
    return Vector("r01_weights", "weights", ("R1", "R10", "R13"), about, tensors)


def _activations() -> Vector:
    """Ranges of both signs, ties, values far outside."""
    ranges = np.array(
        [[0, 0], [0, 20], [-3, -1], [1, 2], [-1, 1], [-127.5, 127.5], [-4.2, 17.3], [-1e-3, 1e3]]
    )
    steps = np.arange(-6, 520, 5) / 2.0  # every other is a tie where the scale is a power of two
    rows = []
    for bits in (8, 16):
        for low, high in ranges:
            parameters = fixed_point.activation_parameters(low, high, bits=bits)
            x = np.concatenate([(steps - 130) * parameters.scale, [-1e9, 1e9, 0.0, -0.0]])
            clamp = parameters.clamp_limits(20.0)
            rows.append((parameters, clamp, x, parameters.quantize(x)))
    tensors = {
        "range": np.concatenate([ranges, ranges]),
        "bits": np.repeat(np.array([8, 16]), len(ranges)),
        "scale": np.array([p.scale for p, _, _, _ in rows]),
        "zero_point": np.array([p.zero_point for p, _, _, _ in rows]),
        "clamp_20": np.array([clamp for _, clamp, _, _ in rows]),
        "real": np.stack([x for _, _, x, _ in rows]),
        "quantized": np.stack([q for _, _, _, q in rows]).astype(np.int16),
    }
    about = "range, bits to scale, zero_point, clamp of ReLU at 20; real[n, k] to quantized[n, k]"
    return Vector("r02_activations", "activations", ("R2", "R4", "R10", "R12"), about, tensors)


def _folded_bias() -> Vector:
    random = SeededIntegers("bias")
    real = random.integers(-(10**9), 10**9, (256,)) / 2.0**20
    real[:8] = np.array([0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.0, -0.0]) / 1024
    row_sum = random.integers(-60000, 60000, (256,))
    scale = np.where(np.arange(256) < 128, 1.0 / 1024, random.integers(1, 1000, (256,)) / 1e6)
    tensors = {"real": real, "accumulator_scale": scale, "weight_row_sum": row_sum}
    for zero_point in (0, 128, 255):
        folded = fixed_point.fold_bias(real, scale, zero_point, row_sum)
        tensors[f"bias_{zero_point}"] = folded
    about = "real, accumulator_scale, weight_row_sum to bias_Z for zero point Z"
    return Vector("r03_folded_bias", "folded_bias", ("R3", "R13"), about, tensors)


def _requantize() -> Vector:
    """Every shift: both ends, zero, ties and their neighbours, random; |R4'| < 2^30 (R4)."""
    random = SeededIntegers("requantize")
    rows: list[tuple[int, int, int]] = []
    for shift in range(fixed_point.SHIFT_MINIMUM, fixed_point.SHIFT_MAXIMUM + 1):
        middle = int(random.integers(32769, 65534, (1,))[0])
        for multiplier in (32768, middle, 65535):
            limits = (2**31 - 1,) if shift < 17 else (2**31 - 1, 2**47 - 1)
            for limit in limits:
                accumulators = _accumulators(multiplier, shift, limit, random)
                rows += [(accumulator, multiplier, shift) for accumulator in accumulators]
    accumulator, multiplier, shift = np.array(rows).T
    rescaled = fixed_point.rescale(accumulator, multiplier, shift)
    clamps = np.array([[0, 0, 255], [128, 0, 255], [200, 200, 255], [255, 0, 255], [17, 17, 100]])
    which = np.arange(len(rows)) % len(clamps)
    zero_point, low, high = clamps[which].T
    requantized = np.minimum(np.maximum(rescaled + zero_point, low), high)
    tensors = {
        "accumulator": accumulator,
        "multiplier": multiplier.astype(np.int32),
        "shift": shift.astype(np.int8),
        "clamp": clamps.astype(np.int16),
        "clamp_used": which.astype(np.int8),
        "rescaled": rescaled.astype(np.int32),
        "requantized": requantized.astype(np.int16),
    }
    about = (
        "rescaled = R4'(accumulator) with multiplier, shift; requantized = R4 with "
        "(zero point, low, high) = clamp[clamp_used]; |accumulator| >= 2^31 is wide mode only"
    )
    return Vector("r04_requantize", "requantize", ("R4", "R10"), about, tensors)


def _accumulators(multiplier: int, shift: int, limit: int, random: SeededIntegers) -> list[int]:
    """Accumulators worth trying, within ``limit`` and the bound |R4'| < 2^30."""
    largest = min(limit, ((2**30 << shift) - (1 << (shift - 1)) - 1) // multiplier)
    period = (1 << shift) // math.gcd(multiplier, 1 << shift)  # ties repeat with this period
    chosen = {0, 1, -1, largest, -largest, largest - 1, 1 - largest}
    if period % 2 == 0:  # acc*M = 2^(s-1) modulo 2^s has a solution
        odd = multiplier // math.gcd(multiplier, 1 << shift)
        first = period // 2 * pow(odd, -1, period) % period
        for tie in (first, first - period, largest - (largest - first) % period):
            chosen |= {tie - 1, tie, tie + 1}
    scale = random.integers(0, 2**20, (2,))
    chosen |= {int(largest * int(s) // 2**20) for s in scale}
    chosen |= {-int(largest * int(s) // 2**20) for s in scale}
    return sorted(acc for acc in chosen if abs(acc) <= largest)


def _gates() -> Vector:
    """R5: the first saturation, the exact three-term sum, the second saturation."""
    random = SeededIntegers("gates")
    large = np.array([-(2**30) + 1, -65536, -32769, -32768, -1, 0, 1, 32767, 32768, 2**30 - 1])
    peepholes = np.array([-(2**30) + 2**15, -40000, 0, 40000, 2**30 - 2**15])
    grid = np.stack(np.meshgrid(large, large, peepholes, indexing="ij")).reshape(3, -1)
    noise = random.integers(-50000, 50000, (3, 1000))
    rescaled_input, rescaled_recurrent, peephole = np.concatenate([grid, noise], axis=1)
    stored = fixed_point.saturate16(rescaled_input)
    gate = fixed_point.saturate16(stored + rescaled_recurrent + peephole)
    tensors = {
        "rescaled_input": rescaled_input.astype(np.int32),
        "rescaled_recurrent": rescaled_recurrent.astype(np.int32),
        "peephole": peephole.astype(np.int32),
        "input_part": stored.astype(np.int16),
        "gate": gate.astype(np.int16),
    }
    about = "input_part = xp of R4'(acc_x); gate = p of xp, R4'(acc_h) and the peephole term"
    return Vector("r05_gates", "gates", ("R5",), about, tensors)


def _tables(segments: int, name: str, rules: tuple[str, ...]) -> Vector:
    """Both functions: a sample of points, and the digest of all 65,536 results."""
    table = sigmoid_table(segments)
    every = np.arange(-32768, 32768)
    width = 16384 // segments
    edges = (np.arange(-segments, segments + 1)[:, np.newaxis] * width + [-1, 0, 1]).reshape(-1)
    sample = np.unique(np.concatenate([edges, INT16_EDGES]))
    facts = {
        f"{function.__name__}_sha256": hashlib.sha256(
            function(every, table).astype("<i2").tobytes()
        ).hexdigest()
        for function in (sigmoid, tanh)
    }
    tensors = {
        "base": table.base,
        "slope": table.slope,
        "x": sample.astype(np.int16),
        "sigmoid": sigmoid(sample, table).astype(np.int16),
        "tanh": tanh(sample, table).astype(np.int16),
    }
    about = (
        "base, slope; x to sigmoid and tanh; the digests are SHA-256 of the little-endian int16 "
        "results for x = -32768..32767"
    )
    return Vector(name, "tables", rules, about, tensors, facts)


def _cell_and_output() -> Vector:
    """R7 and R8 from gates after R5: all corners, ties of the cell, random."""
    random = SeededIntegers("cell")
    corners = np.array([-32768, 0, 32767])
    cells = np.array([-32768, -32767, -1, 0, 1, 32766, 32767])
    grid = np.stack(np.meshgrid(corners, corners, corners, corners, cells, indexing="ij"))
    noise = random.integers(-12000, 12000, (5, 2000))
    wild = random.integers(-32768, 32767, (5, 1000))
    i_gate, f_gate, g_gate, o_gate, old = np.concatenate([grid.reshape(5, -1), noise, wild], axis=1)
    table = sigmoid_table()
    i, f, g = sigmoid(i_gate, table), sigmoid(f_gate, table), tanh(g_gate, table)
    cell = fixed_point.saturate16((f * old + ((i * g + 8) >> 4) + (1 << 14)) >> 15)
    m = (sigmoid(o_gate, table) * tanh(cell, table) + (1 << 14)) >> 15
    columns = {"i": i_gate, "f": f_gate, "g": g_gate, "o": o_gate, "old_cell": old, "cell": cell}
    tensors = {name: column.astype(np.int16) for name, column in (columns | {"m": m}).items()}
    tensors["h"] = quantize_output(m).astype(np.uint8)
    about = "gates i, f, g, o in Q4.11 and old_cell to cell (R7), m and h (R8), 64 segments"
    return Vector("r07_cell_and_output", "cell_and_output", ("R7", "R8"), about, tensors)


def _multipliers() -> Vector:
    """Powers of two, carries to 65536, both ends of the range, and ratios that must fail."""
    random = SeededIntegers("multipliers")
    powers = np.ldexp(1.0, np.arange(-34, 18))
    ratios = np.concatenate(
        [
            powers,
            np.nextafter(powers, 0.0),
            np.nextafter(powers, np.inf),
            powers * 65535.5 / 65536,  # a tie that carries to 65536
            powers * 40000.5 / 65536,  # a tie that does not
            np.ldexp(random.integers(2**30, 2**31, (200,)) / 2.0**31, np.arange(200) % 40 - 28),
            [0.0, -1.0, np.inf, np.nan, 5e-324, 1.7e308, 127 / 32768],
        ]
    )
    results = []
    for ratio in ratios:
        try:
            results.append((*fixed_point.choose_multiplier(float(ratio)), 0))
        except ConversionError:
            results.append((0, 0, 1))
    multiplier, shift, refused = np.array(results).T
    tensors = {
        "ratio": ratios,
        "multiplier": multiplier.astype(np.int32),
        "shift": shift.astype(np.int8),
        "refused": refused.astype(np.int8),
    }
    about = "ratio to multiplier and shift; refused = 1 where conversion must fail"
    return Vector("r13_multipliers", "multipliers", ("R4", "R13"), about, tensors)
