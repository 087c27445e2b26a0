"""Every model vector re-derived with Python integers, in the dumbest way.

Nothing of ``integer_arithmetic`` computes here: the rules are written out again from spec.md,
with unbounded integers, so a wrap, a wrong order or a wrong tie in the reference shows. On the
way the oracle notes which events it saw; the vectors must contain every one of them.
"""

import math
from collections import Counter
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path

import pytest

from sparsespeech.graph import Conv2d
from sparsespeech.integer_arithmetic.vector_cases import storage
from sparsespeech.model_file.model import ConvolutionLayer, LinearLayer, LstmLayer, OutputLayer

FOLDER = Path(__file__).parent / "vectors"
MODELS = sorted(
    path.stem for path in FOLDER.glob("*.safetensors") if storage.read(path).kind == "model"
)

EVENTS = {
    "accumulator within 1 of 2^31",
    "accumulator within 1 of 2^47",
    "tie rounded up",
    "negative tie rounded up",
    "clamped low",
    "clamped high",
    "input part saturated low",
    "input part saturated high",
    "input part saturated, gate not",
    "gate saturated low",
    "gate saturated high",
    "both roundings of a cell at a tie",
    "output at a tie",
    "cell saturated low",
    "cell saturated high",
    "sigmoid beyond the table, negative",
    "sigmoid beyond the table, positive",
    "peephole term at 2^30 - 2^15",
    "directions clamped low",
    "directions clamped high",
    "empty row",
    "full row",
    "weight -128",
    "border of a convolution",
    "no frames",
}


class Oracle:
    """Rules R3 to R12 on Python integers; ``seen`` counts events."""

    def __init__(self, model):
        self.model = model
        self.wide = model.activation_bits == 16
        self.seen = Counter()

    def run(self, windows):
        frames = [[int(x) for x in row] for row in windows]
        if not frames:
            self.seen["no frames"] += 1
        for layer, entry in zip(self.model.layers, self.model.graph.layers, strict=True):
            if isinstance(layer, LinearLayer):
                frames = [self.linear(layer, x) for x in frames]
            elif isinstance(layer, ConvolutionLayer):
                frames = self.convolution(layer, entry, frames)
            elif isinstance(layer, LstmLayer):
                frames = self.lstm(layer, frames)
            elif isinstance(layer, OutputLayer):
                frames = [self.accumulate(layer.weights, layer.bias, x) for x in frames]
        return frames

    def accumulate(self, weights, bias, x):  # R3
        rows = []
        for r in range(weights.shape[0]):
            nonzeros = range(int(weights.row_start[r]), int(weights.row_start[r + 1]))
            values = [int(weights.value[n]) for n in nonzeros]
            self.seen["empty row"] += not values
            self.seen["full row"] += len(values) == weights.shape[1]
            self.seen["weight -128"] += -128 in values
            total = int(bias[r])
            for n, value in zip(nonzeros, values, strict=True):
                total += value * x[int(weights.column[n])]
            limit = 2**47 if self.wide else 2**31
            assert -limit < total < limit
            self.seen[f"accumulator within 1 of 2^{47 if self.wide else 31}"] += (
                abs(total) == limit - 1
            )
            rows.append(total)
        return rows

    def rescale(self, accumulators, scales):  # R4': nearest integer, ties upwards
        results = []
        for r, accumulator in enumerate(accumulators):
            row = 0 if len(scales.multiplier) == 1 else r
            product, step = accumulator * int(scales.multiplier[row]), 2 ** int(scales.shift[row])
            nearest, rest = divmod(product, step)
            nearest += 2 * rest >= step
            assert abs(nearest) < 2**30
            if 2 * rest == step:
                self.seen["tie rounded up" if product > 0 else "negative tie rounded up"] += 1
            results.append(nearest)
        return results

    def clamp(self, value, low, high, event="clamped"):
        self.seen[f"{event} low"] += value < low
        self.seen[f"{event} high"] += value > high
        return max(low, min(value, high))

    def saturate16(self, value, event):
        return self.clamp(value, -32768, 32767, f"{event} saturated")

    def linear(self, layer, x):  # R4
        rescaled = self.rescale(self.accumulate(layer.weights, layer.bias, x), layer.requantize)
        return [self.clamp(v + layer.output_zero_point, layer.low, layer.high) for v in rescaled]

    def convolution(self, layer, geometry: Conv2d, frames):  # R11
        channels = geometry.input_channels
        bins = len(frames[0]) // channels if frames else 0
        (k_t, k_f), (d_t, d_f), (p_t, p_f) = geometry.kernel, geometry.stride, geometry.padding

        def value(channel, t, b):
            if 0 <= t < len(frames) and 0 <= b < bins:
                return frames[t][channel * bins + b]
            self.seen["border of a convolution"] += 1
            return layer.input_zero_point

        result = []
        t = 0
        while frames and t * d_t + k_t <= len(frames) + 2 * p_t:
            columns = []
            b = 0
            while b * d_f + k_f <= bins + 2 * p_f:
                patch = [
                    value(channel, t * d_t - p_t + i, b * d_f - p_f + j)
                    for channel in range(channels)
                    for i in range(k_t)
                    for j in range(k_f)
                ]
                columns.append(self.linear(layer, patch))
                b += 1
            result.append([column[o] for o in range(layer.weights.shape[0]) for column in columns])
            t += 1
        return result

    def lstm(self, layer, frames):
        forward = self.direction(layer.forward, frames)
        if layer.backward is None:
            return forward
        backward = self.direction(layer.backward, frames[::-1])[::-1]  # R12
        if layer.merge == "concatenate":
            return [f + b for f, b in zip(forward, backward, strict=True)]
        z = self.output_zero_point(layer.forward)
        low, high = (-32768, 32767) if self.wide else (0, 255)
        summed = [
            [x + y - z for x, y in zip(f, b, strict=True)]
            for f, b in zip(forward, backward, strict=True)
        ]
        return [[self.clamp(v, low, high, "directions clamped") for v in row] for row in summed]

    def output_zero_point(self, direction):  # R2
        if self.wide:
            return 0
        return direction.projection.output_zero_point if direction.projection else 128

    def direction(self, d, frames):  # R5 to R8
        cells, width = d.recurrent_weights.shape[0] // 4, d.recurrent_weights.shape[1]
        h, c = [self.output_zero_point(d)] * width, [0] * cells  # R12
        outputs = []
        for x in frames:
            accumulated = self.accumulate(d.input_weights, d.input_bias, x)
            raw = self.rescale(accumulated, d.input_requantize)
            xp = [self.saturate16(v, "input part") for v in raw]
            recurrent = self.rescale(
                self.accumulate(d.recurrent_weights, d.recurrent_bias, h), d.recurrent_requantize
            )
            m = []
            for j in range(cells):

                def gate(k, cell=None, peephole=None, j=j, raw=raw, xp=xp, recurrent=recurrent):
                    term = self.peephole(d.peephole, peephole, j, cell)
                    p = self.saturate16(xp[k * cells + j] + recurrent[k * cells + j] + term, "gate")
                    self.seen["input part saturated, gate not"] += (
                        xp[k * cells + j] != raw[k * cells + j] and -32768 < p < 32767
                    )
                    return p

                i, f = self.sigmoid(gate(0, c[j], 0)), self.sigmoid(gate(1, c[j], 1))
                g = self.tanh(gate(2))
                total = f * c[j] + ((i * g + 8) // 16) + 2**14
                c[j] = self.saturate16(total // 2**15, "cell")
                self.seen["both roundings of a cell at a tie"] += (
                    (i * g + 8) % 16 == total % 2**15 == 0
                )
                o = self.sigmoid(gate(3, c[j], 2))
                product = o * self.tanh(c[j]) + 2**14
                self.seen["output at a tie"] += product % 2**15 == 0
                m.append(product // 2**15)
            h = m
            if not self.wide:
                h = [self.clamp((v * 65024 + 2**23) // 2**24 + 128, 0, 255) for v in m]
            if d.projection:
                p = d.projection
                low, high = (-32768, 32767) if self.wide else (0, 255)
                rescaled = self.rescale(self.accumulate(p.weights, p.bias, h), p.requantize)
                h = [self.clamp(v + p.output_zero_point, low, high) for v in rescaled]
            outputs.append(h)
        return outputs

    def peephole(self, peephole, which, j, cell):  # R5
        if peephole is None or which is None:
            return 0
        term = self.rescale([int(peephole.weights[which][j]) * cell], peephole.requantize)[0]
        assert abs(term) <= 2**30 - 2**15
        self.seen["peephole term at 2^30 - 2^15"] += abs(term) == 2**30 - 2**15
        return term

    def sigmoid(self, x):  # R6, R10
        bits = 5 if self.wide else 8
        base = sigmoid_base(2**14 >> bits)
        if abs(x) < 16384:
            k, fraction = divmod(abs(x), 2**bits)
            y = base[k] + ((base[k + 1] - base[k]) * fraction + 2 ** (bits - 1)) // 2**bits
        else:
            y = 32757
            self.seen[f"sigmoid beyond the table, {'negative' if x < 0 else 'positive'}"] += 1
        return 32768 - y if x < 0 else y

    def tanh(self, x):
        return 2 * self.sigmoid(max(-32768, min(2 * x, 32767))) - 32768


@cache
def sigmoid_base(segments):
    with localcontext(prec=40):
        return [
            math.floor(32768 / (1 + (Decimal(-8 * k) / segments).exp()) + Decimal("0.5"))
            for k in range(segments + 1)
        ]


@cache
def oracle_run(name):
    """The vector, the oracle's logits of each utterance, and the events on the way."""
    vector = storage.read(FOLDER / f"{name}.safetensors")
    oracle = Oracle(storage.restore_model(vector))
    logits, start = [], 0
    for frames in vector.tensors["frames"]:
        logits.append(oracle.run(vector.tensors["windows"][start : start + frames]))
        start += frames
    return vector, logits, oracle.seen


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_every_vector(name):
    vector, logits, _ = oracle_run(name)
    assert [len(rows) for rows in logits] == vector.tensors["logit_frames"].tolist()
    assert [row for rows in logits for row in rows] == vector.tensors["logits"].tolist()


def test_vectors_reach_every_edge_of_the_rules():
    seen = Counter()
    for name in MODELS:
        seen += oracle_run(name)[2]
    assert EVENTS - set(seen) == set()


@pytest.mark.parametrize("name", MODELS)
def test_every_vector_keeps_the_proofs_of_the_format(name):
    model = storage.restore_model(storage.read(FOLDER / f"{name}.safetensors"))
    wide = model.activation_bits == 16
    for weights, bias, scales in products(model):
        for r in range(weights.shape[0]):
            values = weights.value[int(weights.row_start[r]) : int(weights.row_start[r + 1])]
            bound = sum(abs(int(v)) for v in values) * (32768 if wide else 255) + abs(int(bias[r]))
            assert bound < (2**47 if wide else 2**31)  # R3, R10
            assert 0 not in values
            if scales is not None:
                row = 0 if len(scales.multiplier) == 1 else r
                m, s = int(scales.multiplier[row]), int(scales.shift[row])
                assert 2**15 <= m < 2**16 and 1 <= s <= 47
                assert (bound * m + 2 ** (s - 1)) // 2**s < 2**30  # R4


def products(model):
    """(weights, bias, requantizer or None) of every product of ``model``."""
    for layer in model.layers:
        if isinstance(layer, LstmLayer):
            for d in filter(None, (layer.forward, layer.backward)):
                yield d.input_weights, d.input_bias, d.input_requantize
                yield d.recurrent_weights, d.recurrent_bias, d.recurrent_requantize
                zero_point = d.projection.output_zero_point if d.projection else 128
                zero_point = 0 if model.activation_bits == 16 else zero_point
                for r in range(d.recurrent_weights.shape[0]):
                    start, stop = d.recurrent_weights.row_start[r : r + 2]
                    row_sum = int(d.recurrent_weights.value[start:stop].astype(int).sum())
                    assert int(d.recurrent_bias[r]) == -zero_point * row_sum  # R3
                if d.projection:
                    yield d.projection.weights, d.projection.bias, d.projection.requantize
        elif isinstance(layer, OutputLayer):
            yield layer.weights, layer.bias, None
        else:
            yield layer.weights, layer.bias, layer.requantize
