"""How fast training goes: audio hours an hour and model-FLOP utilisation."""

from __future__ import annotations

import time

import torch
from torch import nn


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product, measured now."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(4):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        (a @ a).sum().item()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


class Throughput:
    """Running figures since the last :meth:`report`."""

    def __init__(self, model: nn.Module, frame_duration_s: float, peak: float) -> None:
        """``peak``: attainable FLOP/s; the model's own are 6 a parameter and frame."""
        self._flops_per_frame = 6 * sum(p.numel() for p in model.parameters())
        self._frame_duration_s = frame_duration_s
        self._peak = peak
        self._frames = 0
        self._since = time.perf_counter()

    def count(self, frames: int) -> None:
        """Add the real (unpadded) frames of one step."""
        self._frames += frames

    def restart(self) -> None:
        """Forget the time since the last report, for work that is not training."""
        self._frames, self._since = 0, time.perf_counter()

    def report(self) -> dict[str, float]:
        """Audio hours an hour and utilisation of the peak, then start over."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        rate = self._frames / elapsed
        self._frames, self._since = 0, time.perf_counter()
        return {
            "audio_hours_per_hour": rate * self._frame_duration_s,
            "flop_utilisation": rate * self._flops_per_frame / self._peak,
        }
