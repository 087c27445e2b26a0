"""CMU's AN4 corpus in its official layout.

::

    an4/etc/an4_train.fileids            lines "an4_clstk/fash/an251-fash-b"
    an4/etc/an4_train.transcription      lines "<s> YES </s> (an251-fash-b)"
    an4/etc/an4_test.fileids, an4/etc/an4_test.transcription
    an4/wav/an4_clstk/fash/an251-fash-b.sph    or .wav, .flac, .raw (no header)

The archives come as SPHERE or as headerless 16-bit samples of 16 kHz in either byte order.
Headerless recordings are written as WAV beside them, because a manifest names files with a header.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import soundfile

from sparsespeech import atomic_file
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.corpora.recordings import (
    find_recording,
    read_lines,
    recording_duration_s,
    require_folder,
)
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.errors import ManifestError

SPLITS = ("train", "test")
SAMPLE_RATE_HZ = 16000
_TRANSCRIPTION = re.compile(r"^(?:<s>)?(?P<text>.*?)(?:</s>)?\s*\((?P<identity>[^()\s]+)\)$")


def is_official_layout(folder: Path) -> bool:
    """Whether ``folder`` (or ``folder/an4``) holds AN4's own index files."""
    return _index_folder(folder) is not None


def read_an4(folder: Path, *, raw_byte_order: str = "little") -> list[Utterance]:
    """Utterances of both splits, ``train`` and ``test``, in the order of the file lists.

    ``raw_byte_order`` is ``little`` or ``big``, for ``.raw`` recordings; their WAV form is written
    beside them. Raises ManifestError for missing or contradicting index files and for missing
    recordings, naming file and line.
    """
    require_folder(folder)
    index = _index_folder(folder)
    if index is None:
        raise ManifestError(
            f"{folder}: no etc/an4_train.fileids there; unpack the AN4 archive and name its "
            f"an4 folder"
        )
    utterances = []
    for split in SPLITS:
        utterances += _read_split(index, split, raw_byte_order)
    return utterances


def _index_folder(folder: Path) -> Path | None:
    for candidate in (folder / "etc", folder / "an4" / "etc", folder):
        if (candidate / "an4_train.fileids").is_file():
            return candidate
    return None


def _read_split(index: Path, split: str, raw_byte_order: str) -> list[Utterance]:
    transcripts = _read_transcriptions(index / f"an4_{split}.transcription")
    list_path = index / f"an4_{split}.fileids"
    utterances = []
    for number, line in read_lines(list_path):
        where = f"{list_path}, line {number}"
        place = Path(line.strip())
        if place.is_absolute() or ".." in place.parts:
            raise ManifestError(f"{where}: expected a path below wav/, got {line.strip()!r}")
        if place.name not in transcripts:
            raise ManifestError(f"{where}: {place.name} is not in an4_{split}.transcription")
        stem = index.parent / "wav" / place
        raw = stem.with_name(stem.name + ".raw")
        audio = _convert_raw(raw, raw_byte_order) if raw.is_file() else find_recording(stem, where)
        utterances.append(
            Utterance(
                audio,
                recording_duration_s(audio, where),
                normalise_transcript(transcripts[place.name]),
                place.parent.name,
                split,
            )
        )
    return utterances


def _read_transcriptions(path: Path) -> dict[str, str]:
    transcripts = {}
    for number, line in read_lines(path):
        match = _TRANSCRIPTION.match(line.strip())
        if match is None:
            raise ManifestError(
                f"{path}, line {number}: expected '<s> TEXT </s> (ID)', got {line.strip()!r}"
            )
        transcripts[match["identity"]] = match["text"]
    return transcripts


def _convert_raw(raw: Path, byte_order: str) -> Path:
    """Write ``raw`` as WAV of the same name unless that is there already; returns the WAV."""
    target = raw.with_suffix(".wav")
    content = raw.read_bytes()
    if len(content) == 0 or len(content) % 2:
        raise ManifestError(f"{raw}: {len(content)} bytes are no 16-bit samples")
    samples = np.frombuffer(content, dtype=">i2" if byte_order == "big" else "<i2")
    encoded = io.BytesIO()
    soundfile.write(
        encoded, samples.astype(np.int16), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16"
    )
    # A WAV that is there may be of the other byte order.
    if not target.is_file() or target.read_bytes() != encoded.getvalue():
        atomic_file.write_bytes(target, encoded.getvalue())
    return target
