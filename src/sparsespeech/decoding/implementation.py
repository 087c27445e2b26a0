"""The one place that chooses who decodes: the native module where it was built, numpy elsewhere.

Both give the same texts, times, confidences and scores, to the last bit: they do the same float64
operations in the same order, with exp and log1p of the same C library, and settle ties alike.
"""

from __future__ import annotations

from types import ModuleType

try:
    from sparsespeech._native import decoding as _compiled
except ImportError:  # installed without a C++ compiler
    _compiled = None

_native: ModuleType | None = _compiled


def native_decoding() -> ModuleType | None:
    """The module ``sparsespeech._native.decoding``, None where it was not built."""
    return _native
