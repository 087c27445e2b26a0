"""The instruction sets on which tests run the CPU engine."""

from __future__ import annotations

import importlib


def built_instruction_sets() -> list[str]:
    """Those of this machine, lowest first; none where the engine was not built."""
    try:
        native = importlib.import_module("sparsespeech._native")
    except ImportError:
        return []
    return list(native.instruction_sets()) if hasattr(native, "engine") else []
