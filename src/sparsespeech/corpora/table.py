"""Tables of recordings: CSV or TSV with a header line.

DeepSpeech's ``wav_filename,wav_filesize,transcript`` and Common Voice's ``path ... sentence`` are
recognised by their columns; any other table by naming its columns.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.corpora.recordings import recording_duration_s
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.errors import ManifestError

_KNOWN_COLUMNS = {
    "audio": ("wav_filename", "audio_filepath", "audio", "path"),
    "text": ("transcript", "text", "sentence"),
    "duration": ("duration", "seconds"),
    "speaker": ("speaker", "client_id"),
    "split": ("split",),
}
_REQUIRED = ("audio", "text")


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns; None takes the first known name that the header holds."""

    audio: str | None = None
    text: str | None = None
    duration: str | None = None
    speaker: str | None = None
    split: str | None = None


def read_table(
    path: Path,
    columns: TableColumns = TableColumns(),
    *,
    split: str | None = None,
    where: Mapping[str, str] | None = None,
    audio_root: Path | None = None,
) -> list[Utterance]:
    """Utterances of the rows of ``path`` in file order.

    ``.tsv`` files are tab-separated without quotes, others comma-separated with quotes. Where the
    table has a split column, ``split`` keeps only its rows; otherwise it labels all rows.
    ``where`` keeps only rows with the given values in the columns named by its keys.
    Relative recordings are relative to ``audio_root`` (default: the folder of the table). The
    duration comes from its column, in seconds, else from the recording. Raises ManifestError
    naming the line.
    """
    root = path.parent if audio_root is None else audio_root
    utterances = []
    rows = _rows(path)
    _, header = next(rows, (0, []))
    positions = _column_positions(path, header, columns)
    wanted = {_position(path, header, name): value for name, value in (where or {}).items()}
    for number, row in rows:
        place = f"{path}, line {number}"
        if len(row) != len(header):
            raise ManifestError(f"{place}: expected {len(header)} columns, got {len(row)}")
        if any(row[position] != value for position, value in wanted.items()):
            continue
        fields = {role: row[position] for role, position in positions.items()}
        if "split" in fields and split is not None and fields["split"] != split:
            continue
        audio = root / fields["audio"]
        if "duration" in fields and audio.is_file():
            duration = _parse_duration(fields["duration"], place)
        else:
            duration = recording_duration_s(audio, place)
        utterances.append(
            Utterance(
                audio,
                duration,
                normalise_transcript(fields["text"]),
                fields.get("speaker", ""),
                fields.get("split", split or ""),
            )
        )
    if not utterances:
        conditions = [f"{name}={value}" for name, value in (where or {}).items()]
        conditions += [f"split={split}"] if split is not None else []
        raise ManifestError(f"{path}: the table holds no rows with {', '.join(conditions) or '-'}")
    return utterances


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row that is not blank."""
    tabs = path.suffix.lower() == ".tsv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(
                stream,
                delimiter="\t" if tabs else ",",
                quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
                strict=not tabs,
            )
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot read the table: {error}") from None


def _column_positions(path: Path, header: list[str], columns: TableColumns) -> dict[str, int]:
    positions = {}
    for role, known in _KNOWN_COLUMNS.items():
        named: str | None = getattr(columns, role)
        name = named or next((name for name in known if name in header), None)
        if name is not None:
            positions[role] = _position(path, header, name)
        elif role in _REQUIRED:
            raise ManifestError(
                f"{path}: which column holds the {role}? The header holds {header}; "
                f"name one with --{role}-column"
            )
    return positions


def _position(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise ManifestError(f"{path}: no column {name!r}; the header holds {header}")
    return header.index(name)


def _parse_duration(field: str, where: str) -> float:
    try:
        duration = float(field)
    except ValueError:
        duration = math.nan
    if not (math.isfinite(duration) and duration > 0):
        raise ManifestError(f"{where}: duration must be seconds > 0, got {field!r}")
    return duration
