from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsespeech.errors import InputWindowsError, SessionFinishedError, UnsupportedLayerError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.random_models import random_integer_model


def executor(**settings: Any) -> ReferenceExecutor:
    rng = np.random.default_rng(4)
    settings = {"bidirectional": False, **settings}
    return ReferenceExecutor(random_integer_model(rng, hidden=12, **settings))


@pytest.mark.parametrize("settings", [{}, {"projection": 5, "peephole": True}, {"wide": True}])
def test_chunks_are_the_whole(settings: dict[str, Any]) -> None:
    reference = executor(**settings)
    rng = np.random.default_rng(2)
    windows = rng.integers(0, 256, (30, 494)).astype(np.int16 if settings.get("wide") else np.uint8)
    session = reference.stream()
    chunks = [session.push(piece) for piece in np.split(windows, [0, 1, 4, 4, 29])]
    assert np.array_equal(np.concatenate(chunks), reference.run(windows))
    session.finish()
    for call in (lambda: session.push(windows), session.finish):
        with pytest.raises(SessionFinishedError, match="after 30 frames"):
            call()


def test_wrong_windows() -> None:
    session = executor().stream()
    with pytest.raises(InputWindowsError, match=r"int16\[2, 494\], expected uint8\[frames"):
        session.push(np.zeros((2, 494), np.int16))


@pytest.mark.parametrize(
    ("settings", "layer"), [({"bidirectional": True}, "layer3"), ({"convolution": True}, "conv1")]
)
def test_models_that_need_later_frames(settings: dict[str, Any], layer: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=f"unidirectional model.*layer '{layer}' needs"):
        executor(**settings).stream()
