from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sparsespeech.backend import backend_names, default_backend, is_built, load_backend
from sparsespeech.errors import BackendError, SessionFinishedError
from tests.fake_engine import put_fake_engine
from tests.random_models import random_integer_model


@pytest.mark.parametrize("name", backend_names())
def test_every_backend_keeps_the_contract(name: str) -> None:
    if not is_built(name):
        pytest.skip(f"{name} was not built")
    model = random_integer_model(np.random.default_rng(2), hidden=8, bidirectional=False)
    executor = load_backend(name)(model, threads=1)
    windows = np.random.default_rng(3).integers(0, 256, (5, 494)).astype(np.uint8)
    logits, times = executor.run_timed(windows)
    assert (logits.shape, logits.dtype) == ((5, 29), np.int64)
    assert [layer for layer, _ in times] == [layer.name for layer in model.layers]
    assert np.array_equal(executor.run(windows), logits)
    assert executor.run(windows[:0]).shape == (0, 29)
    session = executor.stream()
    assert np.array_equal(session.push(windows[:2]), logits[:2])
    assert np.array_equal(session.push(windows[2:]), logits[2:])
    session.finish()
    with pytest.raises(SessionFinishedError):
        session.push(windows)


def test_default_is_the_native_engine_where_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    put_fake_engine(monkeypatch)
    assert default_backend() == "cpu"
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    assert default_backend() == "reference"
    assert is_built("reference")


@pytest.mark.parametrize("name", ["rtl", ""])
def test_absent_backends_list_what_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_fake_engine(monkeypatch)
    with pytest.raises(
        BackendError, match=f"'{name}' does not exist .*: cpu, reference, simulator$"
    ):
        load_backend(name)


def test_backend_that_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    with pytest.raises(
        BackendError, match=r"'cpu' was not built, .*C\+\+20.* one of: reference, simulator$"
    ):
        load_backend("cpu")


def test_backend_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    monkeypatch.setitem(sys.modules, "sparsespeech.integer_arithmetic.reference_model", None)
    with pytest.raises(
        BackendError, match=r"'reference' cannot be used here: .*available: simulator"
    ):
        load_backend("reference")


def test_executors_are_imported_when_asked_for() -> None:
    code = (
        "import sys, sparsespeech.backend; "
        "loaded = {'sparsespeech.integer_arithmetic.reference_model', 'sparsespeech._native', "
        "'sparsespeech.cpu_engine.engine'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
