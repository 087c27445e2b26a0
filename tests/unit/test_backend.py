from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sparsespeech.backend import DEFAULT_BACKEND, backend_names, load_backend
from sparsespeech.errors import BackendError
from tests.random_models import random_integer_model


@pytest.mark.parametrize("name", backend_names())
def test_every_backend_keeps_the_contract(name: str) -> None:
    model = random_integer_model(np.random.default_rng(2), hidden=8)
    executor = load_backend(name)(model)
    windows = np.random.default_rng(3).integers(0, 256, (5, 494)).astype(np.uint8)
    logits, times = executor.run_timed(windows)
    assert (logits.shape, logits.dtype) == ((5, 29), np.int64)
    assert [layer for layer, _ in times] == [layer.name for layer in model.layers]
    assert np.array_equal(executor.run(windows), logits)
    assert executor.run(windows[:0]).shape == (0, 29)


def test_default_exists() -> None:
    assert DEFAULT_BACKEND in backend_names()


@pytest.mark.parametrize("name", ["cpu", "simulator", "rtl", ""])
def test_absent_backends_list_what_exists(name: str) -> None:
    with pytest.raises(BackendError, match=f"'{name}' does not exist .*: reference"):
        load_backend(name)


def test_backend_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech.integer_arithmetic.reference_model", None)
    with pytest.raises(BackendError, match=r"'reference' cannot be used here: .*available: none"):
        load_backend("reference")


def test_executors_are_imported_when_asked_for() -> None:
    code = (
        "import sys, sparsespeech.backend; "
        "assert 'sparsespeech.integer_arithmetic.reference_model' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
