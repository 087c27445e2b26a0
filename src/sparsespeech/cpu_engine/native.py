"""The compiled module, if it was built, and the instruction set that its kernels are to use."""

from __future__ import annotations

import importlib
import os
from typing import Any

from sparsespeech.errors import BackendError, InstructionSetError

NATIVE_MODULE = "sparsespeech._native"
INSTRUCTION_SET_VARIABLE = "SPARSESPEECH_CPU_ISA"
KNOWN_INSTRUCTION_SETS = ("scalar", "avx2", "avx512", "amx")  # each holds those before it


def native_module() -> Any:
    """The module ``sparsespeech._native``.

    Raises BackendError where it was not built or cannot be loaded.
    """
    try:
        return importlib.import_module(NATIVE_MODULE)
    except ImportError as error:
        raise BackendError(
            f"the native engine cannot be loaded: {error}; it is built where a C++20 compiler is "
            "found when the package is installed; install both again, or use --backend reference"
        ) from None


def available_instruction_sets() -> list[str]:
    """Those of KNOWN_INSTRUCTION_SETS that engine, processor and system have, lowest first.

    Raises BackendError where the engine was not built.
    """
    return list(native_module().instruction_sets())


def choose_instruction_set(wanted: str | None = None) -> str:
    """``wanted``, else that of SPARSESPEECH_CPU_ISA, else the highest available.

    Raises InstructionSetError for an unknown name and for a set that is not available here.
    """
    available = available_instruction_sets()
    source = "instruction_set"
    if wanted is None:
        wanted = os.environ.get(INSTRUCTION_SET_VARIABLE) or None
        source = INSTRUCTION_SET_VARIABLE
    if wanted is None:
        return available[-1]
    if wanted not in KNOWN_INSTRUCTION_SETS:
        raise InstructionSetError(
            f"{source} is {wanted!r}, which is no instruction set of the engine; here there are "
            f"{', '.join(available)}"
        )
    if wanted not in available:
        raise InstructionSetError(
            f"{source} asks for {wanted}, which this processor or system lacks; here there are "
            f"{', '.join(available)}; choose one of these, or leave the choice to the engine"
        )
    return wanted
