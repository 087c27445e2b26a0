"""The one manifest form: JSON lines with audio_filepath, duration, text, speaker, split.

Relative audio paths are relative to the folder of the manifest. Durations are seconds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech import atomic_file
from sparsespeech.errors import ManifestError


@dataclass(frozen=True)
class Utterance:
    """One recording and what is said in it."""

    audio_filepath: Path
    duration: float
    text: str
    speaker: str = ""
    split: str = ""


def read_manifest(path: Path, *, split: str | None = None) -> list[Utterance]:
    """Utterances of a manifest in file order, of one ``split`` if given.

    Raises ManifestError naming the file and line for bad JSON, missing keys or a recording
    that does not exist.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot read the manifest: {error}") from None
    utterances = []
    # Not splitlines(): a transcript may hold other line separators of Unicode.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            utterances.append(_parse_line(line, path, number))
    if split is not None:
        utterances = [utterance for utterance in utterances if utterance.split == split]
    if not utterances:
        wanted = f" of split {split!r}" if split is not None else ""
        raise ManifestError(f"{path}: the manifest holds no utterances{wanted}")
    return utterances


def _parse_line(line: str, path: Path, number: int) -> Utterance:
    where = f"{path}, line {number}"
    try:
        record: Any = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise ManifestError(f"{where}: expected a JSON object, got {type(record).__name__}")
    missing = {"audio_filepath", "duration", "text"} - set(record)
    if missing:
        raise ManifestError(f"{where}: lacks {sorted(missing)}")
    duration = record["duration"]
    if not _is_duration(duration):
        raise ManifestError(f"{where}: duration must be seconds >= 0, got {duration!r}")
    if not isinstance(record["text"], str) or not isinstance(record["audio_filepath"], str):
        raise ManifestError(f"{where}: text and audio_filepath must be strings")
    audio = path.parent / record["audio_filepath"]
    if "\0" in record["audio_filepath"] or not audio.is_file():
        raise ManifestError(f"{where}: no recording at {audio}")
    return Utterance(
        audio,
        float(duration),
        record["text"],
        _label(record.get("speaker")),
        _label(record.get("split")),
    )


def _label(value: object) -> str:
    """A JSON value as a name; "" where there is none (a speaker 0 is one)."""
    return "" if value is None else str(value)


def _is_duration(value: object) -> bool:
    """Whether a JSON value is a finite number of seconds >= 0 (true and false are none)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= sys.float_info.max


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write ``utterances`` atomically; recordings below the manifest get relative paths."""
    folder = path.parent.resolve()
    lines = []
    for utterance in utterances:
        audio = Path(os.path.abspath(utterance.audio_filepath))
        shown = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
        record = {
            "audio_filepath": str(shown),
            "duration": round(utterance.duration, 4),
            "text": utterance.text,
            "speaker": utterance.speaker,
            "split": utterance.split,
        }
        lines.append(json.dumps(record, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(path, "\n".join(lines) + "\n")
