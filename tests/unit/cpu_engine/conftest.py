"""Every test of this folder runs on a fake of the native engine, and on the real one if built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.model_file.model import IntegerModel
from tests.fake_engine import put_fake_engine
from tests.random_models import random_integer_model

MakeExecutor = Callable[..., CpuExecutor]


@pytest.fixture(params=["fake", "native"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which engine runs; the fake stands in sys.modules where the compiled module would be."""
    if request.param == "fake":
        put_fake_engine(monkeypatch)
    else:
        native = pytest.importorskip("sparsespeech._native", reason="the engine was not built")
        if not hasattr(native, "engine"):
            pytest.skip("the compiled module has no engine")
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)
    return str(request.param)


@pytest.fixture
def model() -> IntegerModel:
    """A small unidirectional model."""
    return random_integer_model(np.random.default_rng(5), hidden=20, bidirectional=False)


@pytest.fixture
def executor(engine: str, model: IntegerModel) -> CpuExecutor:
    return CpuExecutor(model, threads=2)


@pytest.fixture
def windows() -> Callable[..., Any]:
    """Random windows uint8[frames, 494]."""
    rng = np.random.default_rng(6)
    return lambda frames: rng.integers(0, 256, (frames, 494)).astype(np.uint8)
