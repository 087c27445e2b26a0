"""Folders in LibriSpeech layout.

::

    SUBSET/<speaker>/<session>/<speaker>-<session>.trans.txt    lines "ID TRANSCRIPT"
    SUBSET/<speaker>/<session>/ID.flac                          or .wav, .opus, .ogg, .mp3

(V. Panayotov et al., "Librispeech: an ASR corpus based on public domain audio books", 2015.)
"""

from __future__ import annotations

from pathlib import Path

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.corpora.recordings import (
    find_recording,
    read_lines,
    recording_duration_s,
    require_folder,
)
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.errors import ManifestError


def read_librispeech(folder: Path, *, split: str | None = None) -> list[Utterance]:
    """Utterances of every transcript file below ``folder``, in the order of their paths.

    ``split`` defaults to the name of the subset folder, for example ``dev-clean``. Raises
    ManifestError for a folder without transcripts, a line without a transcript, an ID that
    occurs twice and a line whose recording is missing or unreadable.
    """
    require_folder(folder)
    transcript_paths = sorted(folder.rglob("*.trans.txt"))
    if not transcript_paths:
        raise ManifestError(
            f"{folder}: holds no *.trans.txt; expected <speaker>/<session>/"
            f"<speaker>-<session>.trans.txt with recordings beside it"
        )
    utterances: list[Utterance] = []
    places: dict[str, str] = {}
    for transcript_path in transcript_paths:
        session = transcript_path.resolve().parent
        label = split if split is not None else session.parent.parent.name
        for number, line in read_lines(transcript_path):
            where = f"{transcript_path}, line {number}"
            identity, _, transcript = line.strip().partition(" ")
            if not transcript.strip():
                raise ManifestError(f"{where}: expected 'ID TRANSCRIPT', got {line.strip()!r}")
            if identity in places:
                raise ManifestError(f"{where}: {identity} was already in {places[identity]}")
            places[identity] = where
            audio = find_recording(transcript_path.parent / identity, where)
            utterances.append(
                Utterance(
                    audio,
                    recording_duration_s(audio, where),
                    normalise_transcript(transcript),
                    session.parent.name,
                    label,
                )
            )
    return utterances
