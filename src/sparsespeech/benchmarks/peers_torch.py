"""torch as a peer: eager float32, bfloat16 and dynamic int8, with ``nn.LSTM``.

Axes: T frames, B utterances, I inputs, V labels.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsespeech.benchmarks.float_network import FloatLinear, FloatLstm, FloatNetwork
from sparsespeech.benchmarks.peer import PreparedPeer

_INT8_ENGINES = ("onednn", "x86", "fbgemm")  # the fastest on this machine is taken


def prepare(
    network: FloatNetwork, windows: NDArray[np.uint8], threads: int, precision: str
) -> PreparedPeer:
    """A peer of ``precision`` "fp32", "bf16" or "int8" for windows uint8[T, B, I]."""
    torch.set_num_threads(threads)
    notes = {"instruction_set": torch.backends.cpu.get_cpu_capability()}
    with torch.no_grad():
        module: nn.Module = _Chain(network).eval()
        x = torch.from_numpy(network.real_inputs(windows))
        if precision == "bf16":
            module, x = module.to(torch.bfloat16), x.to(torch.bfloat16)
        if precision == "int8":
            module, notes["engine"] = _fastest_int8(module, x)

    @torch.no_grad()
    def run() -> NDArray[np.float32]:
        logits: Tensor = module(x).float()
        return logits.numpy()

    return PreparedPeer(run, notes)


class _Chain(nn.Module):
    """The layers of a float network."""

    def __init__(self, network: FloatNetwork) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Clipped(layer) if isinstance(layer, FloatLinear) else _lstm(layer)
            for layer in network.layers
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits [T, B, V] of [T, B, I]."""
        for layer in self.layers:
            y = layer(x)
            x = y[0] if isinstance(y, tuple) else y  # an LSTM also returns its last state
        return x


class _Clipped(nn.Module):
    """Fully connected layer with its clip, if it has one."""

    def __init__(self, layer: FloatLinear) -> None:
        super().__init__()
        rows, columns = layer.weights.matrix.shape
        self.linear = nn.utils.skip_init(nn.Linear, columns, rows)
        self.linear.weight.copy_(torch.from_numpy(layer.weights.dense()))
        self.linear.bias.copy_(torch.from_numpy(layer.bias))
        self.low, self.high = layer.low, layer.high

    def forward(self, x: Tensor) -> Tensor:
        """[..., R] of [..., C]."""
        y: Tensor = self.linear(x)
        return y.clamp_(self.low, self.high) if np.isfinite(self.high) else y


def _lstm(layer: FloatLstm) -> nn.LSTM:
    first = layer.directions[0]
    projected = first.projection.matrix.shape[0] if first.projection else 0
    columns = first.input_weights.matrix.shape[1]
    lstm = nn.LSTM(
        columns,
        layer.cells,
        bidirectional=len(layer.directions) == 2,
        proj_size=projected,
    )
    for direction, suffix in zip(layer.directions, ("", "_reverse"), strict=False):
        values = {
            "weight_ih": direction.input_weights.dense(),
            "weight_hh": direction.recurrent_weights.dense(),
            "bias_ih": direction.bias,
            "bias_hh": np.zeros_like(direction.bias),
        }
        if direction.projection is not None:
            values["weight_hr"] = direction.projection.dense()
        for name, value in values.items():
            lstm.get_parameter(f"{name}_l0{suffix}").copy_(torch.from_numpy(value))
    return lstm


def _fastest_int8(module: nn.Module, x: Tensor) -> tuple[nn.Module, str]:
    """The module with dynamically quantized layers, and the engine that runs it fastest."""
    timed: list[tuple[float, nn.Module, str]] = []
    for engine in _INT8_ENGINES:
        if engine not in torch.backends.quantized.supported_engines:
            continue
        torch.backends.quantized.engine = engine
        with warnings.catch_warnings():  # torch.ao is deprecated, and has no successor for LSTM
            warnings.simplefilter("ignore")
            quantized = torch.ao.quantization.quantize_dynamic(
                module, {nn.Linear, nn.LSTM}, dtype=torch.qint8
            )
        timed.append((_best_time(functools.partial(quantized, x)), quantized, engine))
    _, fastest, engine = min(timed, key=lambda entry: entry[0])
    torch.backends.quantized.engine = engine
    return fastest, engine


def _best_time(call: Callable[[], Tensor], repeats: int = 4) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
