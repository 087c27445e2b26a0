"""Train, prune and quantize DeepSpeech models and run them bit-identically on every backend.

>>> import sparsespeech as ss
>>> model = ss.load("english-small")
>>> model.transcribe("talk.wav").text
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsespeech.errors import SparseSpeechError
    from sparsespeech.recogniser import Recogniser, Transcription, load
    from sparsespeech.streaming import StreamResult, TranscriptionStream

__version__ = "0.1.0"
__all__ = [
    "Recogniser", "SparseSpeechError", "StreamResult", "Transcription", "TranscriptionStream",
    "__version__", "load",
]  # fmt: skip

_HOME = {
    "Recogniser": "sparsespeech.recogniser",
    "SparseSpeechError": "sparsespeech.errors",
    "StreamResult": "sparsespeech.streaming",
    "Transcription": "sparsespeech.recogniser",
    "TranscriptionStream": "sparsespeech.streaming",
    "load": "sparsespeech.recogniser",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``import sparsespeech`` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'sparsespeech' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
