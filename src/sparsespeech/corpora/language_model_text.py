"""Sentences for a language model out of plain text, LibriSpeech transcripts and manifests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.corpora.recordings import read_lines
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.decoding.text_normalisation import normalised_lines

# "103-1240-0000 CHAPTER ONE": an identity with a digit, then upper-case words only.
_TRANSCRIPT_ID = re.compile(r"^(?=\S*\d)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)+ (?=[A-Z' ]+$)")


def read_sentences(paths: Iterable[Path]) -> Iterator[list[str]]:
    """Lower-case words of each sentence of the files.

    A ``.jsonl`` file is a manifest, one sentence an utterance. In other files each line is a
    sentence or a paragraph; the identity that begins a line of a LibriSpeech transcript is
    dropped. Raises ManifestError for a file that cannot be read.
    """
    for path in paths:
        if path.suffix == ".jsonl":
            texts = (normalise_transcript(utterance.text) for utterance in read_manifest(path))
            yield from (text.split() for text in texts if text)
        else:
            lines = (line.strip() for _, line in read_lines(path))
            yield from normalised_lines(_TRANSCRIPT_ID.sub("", line) for line in lines)
