"""Train, prune and quantize DeepSpeech models and run them bit-identically on every backend.

>>> import sparsespeech as ss
>>> model = ss.load("english-medium")
>>> model.transcribe("talk.wav").text
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsespeech.accelerator import Accelerator
    from sparsespeech.compilation import compile_model as compile
    from sparsespeech.compiler.program import Program
    from sparsespeech.errors import SparseSpeechError
    from sparsespeech.recogniser import Recogniser, Transcription, load
    from sparsespeech.streaming import StreamResult, TranscriptionStream

__version__ = "0.1.0"
__all__ = [
    "Accelerator", "Program", "Recogniser", "SparseSpeechError", "StreamResult", "Transcription",
    "TranscriptionStream", "__version__", "compile", "load",
]  # fmt: skip

_HOME = {
    "Accelerator": "accelerator", "Program": "compiler.program", "Recogniser": "recogniser",
    "SparseSpeechError": "errors", "StreamResult": "streaming", "Transcription": "recogniser",
    "TranscriptionStream": "streaming", "compile": "compilation", "load": "recogniser",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``import sparsespeech`` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'sparsespeech' has no attribute {name!r}")
    module = importlib.import_module(f"sparsespeech.{_HOME[name]}")
    return getattr(module, "compile_model" if name == "compile" else name)
