"""Settings that every test shares."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Tiny tensors: a second thread costs more than it brings, and sums keep one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What `sparsespeech tune` found on this machine must not change what is tested.
os.environ["SPARSESPEECH_CACHE_DIR"] = os.path.join(
    tempfile.gettempdir(), f"sparsespeech-tests-{os.getpid()}"
)

# A busy machine must not fail a test; in CI the same examples come every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return Path(__file__).parents[1]
