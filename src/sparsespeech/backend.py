"""The executors of an integer model by name, imported when they are asked for.

Axes: T frames, W inputs of one window (494), V labels with the blank.

Every executor gives the same integers for the same windows (``integer_arithmetic/spec.md``), so a
backend is a choice of speed and place, never of result.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import BackendError
from sparsespeech.model_file.model import IntegerModel

DEFAULT_BACKEND = "reference"


class Executor(Protocol):
    """Runs one integer model. Utterances do not influence each other (rule R12)."""

    def run(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Logits int64[T, V] (rule R9) of the windows uint8[T, W]; T may be 0."""
        ...

    def run_timed(
        self, windows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], list[tuple[str, float]]]:
        """The same logits, and the seconds that each layer took, by name in layer order."""
        ...


class Backend(Protocol):
    """Makes executors; raises UnsupportedLayerError for a model that it cannot run."""

    def __call__(self, model: IntegerModel) -> Executor:
        """An executor of ``model``."""
        ...


_BACKENDS = {
    "reference": ("sparsespeech.integer_arithmetic.reference_model", "ReferenceExecutor"),
}


def backend_names() -> tuple[str, ...]:
    """Names that :func:`load_backend` takes."""
    return tuple(_BACKENDS)


def load_backend(name: str) -> Backend:
    """The backend called ``name``; its module is imported by this call.

    Raises BackendError if there is no such backend, or if it cannot be imported here.
    """
    if name not in _BACKENDS:
        raise BackendError(
            f"backend {name!r} does not exist in this version; available: "
            f"{', '.join(backend_names())}"
        )
    module, attribute = _BACKENDS[name]
    try:
        return cast(Backend, getattr(importlib.import_module(module), attribute))
    except ImportError as error:
        raise BackendError(
            f"backend {name!r} cannot be used here: {error}; available: "
            f"{', '.join(other for other in backend_names() if other != name) or 'none'}"
        ) from None
