"""Where transcriptions go: stdout, one file, or a folder of subtitle files.

Files are written whole or not at all, when the last recording is done (subtitle files of several
recordings: each when its recording is done).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console

from sparsespeech import atomic_file
from sparsespeech.cli.stage_table import add_up, stage_table
from sparsespeech.cli.transcription_formats import (
    SUBTITLE_WRITERS,
    Format,
    json_list,
    text_line,
)
from sparsespeech.errors import SparseSpeechError
from sparsespeech.recogniser import Transcription


class TranscriptionOutput:
    """Takes the transcriptions of ``recordings`` one by one and puts them where they belong."""

    def __init__(
        self, format_: Format, target: Path | None, recordings: list[Path], *, timing: bool
    ) -> None:
        """Check ``target`` (None: stdout) before any work is done; raises SparseSpeechError."""
        self._format = format_
        self._target = target
        self._several = len(recordings) > 1
        self._timing = timing
        self._results: list[tuple[Path, Transcription]] = []
        self._subtitle_paths: dict[Path, Path] = {}
        if format_ in SUBTITLE_WRITERS and self._several:
            if target is None or target.is_file():
                raise SparseSpeechError(
                    f"{len(recordings)} recordings make as many {format_} files; "
                    "name a folder for them with --output FOLDER"
                )
            self._subtitle_paths = subtitle_paths(recordings, target, f".{format_}")
        elif target is not None:
            _check_target(target, recordings)

    def accept(self, path: Path, transcription: Transcription) -> None:
        """Take one transcription; text for stdout and subtitles for a folder go out at once."""
        self._results.append((path, transcription))
        if path in self._subtitle_paths:
            destination = self._subtitle_paths[path]
            destination.parent.mkdir(parents=True, exist_ok=True)
            subtitles = SUBTITLE_WRITERS[self._format](transcription.words)
            atomic_file.write_text(destination, subtitles)
        elif self._format is Format.TEXT and self._target is None:
            print(text_line(path, transcription, named=self._several), flush=True)

    def finish(self) -> None:
        """Write what belongs together; nothing if no recording could be transcribed."""
        if not self._results:
            return
        if self._target is not None and not self._subtitle_paths:
            atomic_file.write_text(self._target, self._content())
        elif self._target is None and self._format is not Format.TEXT:
            sys.stdout.write(self._content())
        if self._timing and self._format is not Format.JSON:
            seconds = sum(transcription.duration_s for _, transcription in self._results)
            timing = add_up(transcription.timing for _, transcription in self._results)
            Console(stderr=True).print(stage_table(timing, seconds))

    def _content(self) -> str:
        if self._format is Format.JSON:
            return json_list(self._results, timing=self._timing) + "\n"
        if self._format is Format.TEXT:
            lines = [text_line(*result, named=self._several) for result in self._results]
            return "\n".join(lines) + "\n"
        _, transcription = self._results[0]
        return SUBTITLE_WRITERS[self._format](transcription.words)


def subtitle_paths(recordings: list[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """A file below ``folder`` for each recording, in folders as the recordings are.

    ``talk.wav`` gives ``talk.srt``; where ``talk.flac`` stands beside it, both keep their suffix:
    ``talk.wav.srt`` and ``talk.flac.srt``.
    """
    absolute = {path: Path(os.path.abspath(path)) for path in recordings}
    root = os.path.commonpath([path.parent for path in absolute.values()])
    below = {path: place.relative_to(root) for path, place in absolute.items()}
    stems = Counter(place.with_suffix("") for place in below.values())
    return {
        path: folder
        / place.with_suffix("").parent
        / ((place.stem if stems[place.with_suffix("")] == 1 else place.name) + suffix)
        for path, place in below.items()
    }


def _check_target(target: Path, recordings: list[Path]) -> None:
    if target.is_dir():
        raise SparseSpeechError(f"{target}: is a folder, expected a file name for --output")
    if not target.parent.is_dir():
        raise SparseSpeechError(f"{target.parent}: no such folder; create it for --output first")
    if any(target.exists() and path.exists() and target.samefile(path) for path in recordings):
        raise SparseSpeechError(
            f"{target}: is one of the recordings; --output would overwrite it, name another file"
        )
