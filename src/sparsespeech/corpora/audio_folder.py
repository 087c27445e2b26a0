"""A folder of recordings, each with its transcript in a text file of the same name, or without."""

from __future__ import annotations

from pathlib import Path

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.corpora.recordings import (
    is_recording,
    read_lines,
    recording_duration_s,
    require_folder,
)
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.errors import ManifestError


def read_audio_folder(
    folder: Path, *, split: str = "", require_text: bool = False
) -> list[Utterance]:
    """Utterances of all recordings below ``folder`` in the order of their paths.

    The transcript is the ``.txt`` beside a recording; without one it is empty, or an error if
    ``require_text``. The speaker is the sub-folder directly below ``folder``, if any. Raises
    ManifestError for a folder without recordings and for an unreadable recording.
    """
    require_folder(folder)
    utterances = []
    for audio in sorted(path for path in folder.rglob("*") if is_recording(path)):
        transcript = audio.with_suffix(".txt")
        if transcript.is_file():
            text = " ".join(line for _, line in read_lines(transcript))
        elif require_text:
            raise ManifestError(f"{audio}: no transcript {transcript.name} beside it")
        else:
            text = ""
        place = audio.relative_to(folder)
        speaker = place.parts[0] if len(place.parts) > 1 else ""
        utterances.append(
            Utterance(
                audio,
                recording_duration_s(audio, str(folder)),
                normalise_transcript(text),
                speaker,
                split,
            )
        )
    if not utterances:
        raise ManifestError(f"{folder}: holds no recordings; put WAV, FLAC, OGG or MP3 files there")
    return utterances
