"""Small models and fast measurements for the tests of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.benchmarks import measurement
from sparsespeech.benchmarks.comparison import Settings
from sparsespeech.benchmarks.peers import PeerChoice
from tests.reference_engine import ReferenceEngine


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs a turn, and no pause after it."""
    monkeypatch.setattr(measurement, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(measurement, "SETTLE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _workers_import_tests(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """Processes of peers find this source tree and ``tests.numpy_peer``."""
    monkeypatch.setenv("PYTHONPATH", f"{repository / 'src'}:{repository}")


@pytest.fixture
def settings() -> Settings:
    return Settings(ReferenceEngine, PeerChoice(()), threads=1, rounds=1)
