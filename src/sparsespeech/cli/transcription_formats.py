"""Transcriptions as text, JSON, SRT and VTT."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from sparsespeech.recogniser import StageTime, Transcription
from sparsespeech.subtitles import to_srt, to_vtt


class Format(StrEnum):
    """Values of ``--format``."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


SUBTITLE_WRITERS = {Format.SRT: to_srt, Format.VTT: to_vtt}


def text_line(path: Path, transcription: Transcription, *, named: bool) -> str:
    """The text, after the path and a tab if ``named``."""
    return f"{path}\t{transcription.text}" if named else transcription.text


def json_list(results: list[tuple[Path, Transcription]], *, timing: bool) -> str:
    """A JSON list, one object a recording; seconds and confidences rounded."""
    records = [_record(path, transcription, timing) for path, transcription in results]
    return json.dumps(records, ensure_ascii=False, indent=2)


def _record(path: Path, transcription: Transcription, timing: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "path": str(path),
        "text": transcription.text,
        "words": [
            {
                "word": word.word,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "confidence": round(word.confidence, 4),
            }
            for word in transcription.words
        ],
        "duration_s": round(transcription.duration_s, 4),
    }
    if timing:
        record["timing"] = timing_records(transcription.timing)
    return record


def timing_records(timing: tuple[StageTime, ...]) -> list[dict[str, Any]]:
    """Stages in order, microseconds kept."""
    return [{"stage": entry.stage, "seconds": round(entry.seconds, 6)} for entry in timing]
