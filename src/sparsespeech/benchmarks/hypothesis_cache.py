"""Texts that a model made of a manifest, kept: a test set is decoded once for a published row.

A file is named after the SHA-256 of everything that decides its content: checkpoint, manifest,
recordings, arithmetic, decoder and version of the program. Another checkpoint or recording of the
same name is another file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sparsespeech import atomic_file
from sparsespeech.errors import BenchmarkError


class HypothesisCache:
    """Hypotheses in ``folder``, one JSON file an evaluation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: dict[str, Any]) -> list[str] | None:
        """Hypotheses in the order of the manifest, None where none are kept.

        Raises BenchmarkError for a damaged file: it is not decoded again in silence.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found, texts = content["key"], content["hypotheses"]
            if found != key or not all(isinstance(text, str) for text in texts):
                raise ValueError("it belongs to another evaluation")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(
                f"{path}: cannot read the kept hypotheses: {error}; remove the file to decode again"
            ) from None
        return list(texts)

    def keep(self, key: dict[str, Any], hypotheses: list[str]) -> None:
        """Write ``hypotheses`` atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        content = {"key": key, "hypotheses": hypotheses}
        atomic_file.write_text(
            self._path(key), json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        )

    def _path(self, key: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"
