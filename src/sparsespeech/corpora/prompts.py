"""Sentences for a synthesizer, picked from plain text so that spelling and speech agree.

A sentence is used only if every word is one that all synthesizers read as it is written: letters
and apostrophes, no digits, no abbreviations (words without a vowel), no acronyms (several capital
letters), no lone letters but a, i and o.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.decoding.alphabet import normalise_transcript
from sparsespeech.errors import ManifestError

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")
_PAUSE = re.compile(r"[;:,]|\.{2,}|…|--+|—|–")
_QUOTE = re.compile(r"[\"“”‘«»_]")
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
_LONE_LETTERS = frozenset("aio")


@dataclass(frozen=True)
class Prompt:
    """``text`` as transcribed (a-z, apostrophe, space) and ``spoken`` with pauses and end mark."""

    text: str
    spoken: str


def read_prompts(
    paths: Iterable[Path],
    *,
    shortest: int = 4,
    longest: int = 16,
    excluded_texts: Iterable[str] = (),
) -> list[Prompt]:
    """Distinct usable sentences of UTF-8 text files in file order.

    ``shortest`` and ``longest`` bound the words of a sentence; sentences whose text is in
    ``excluded_texts`` are left out. Raises ManifestError for an unreadable file.
    """
    seen = set(excluded_texts)
    prompts = []
    for path in paths:
        for sentence in _sentences(path):
            prompt = make_prompt(sentence)
            if prompt is None or prompt.text in seen:
                continue
            if shortest <= len(prompt.text.split()) <= longest:
                seen.add(prompt.text)
                prompts.append(prompt)
    return prompts


def read_excluded_texts(paths: Iterable[Path]) -> set[str]:
    """Texts of all usable sentences of ``.jsonl`` manifests and of other text files.

    Transcripts are read as the prompts are: their case and punctuation do not matter.
    """
    texts: set[str] = set()
    for path in paths:
        if path.suffix == ".jsonl":
            for utterance in read_manifest(path):
                for sentence in _SENTENCE_END.split(normalise_transcript(utterance.text)):
                    prompt = make_prompt(sentence)
                    if prompt is not None:
                        texts.add(prompt.text)
        else:
            texts.update(prompt.text for prompt in read_prompts([path], shortest=1, longest=1000))
    return texts


def make_prompt(sentence: str) -> Prompt | None:
    """Prompt of one sentence, or None if a word of it may be read otherwise than it is spelt."""
    marks = _PAUSE.sub(" , ", _QUOTE.sub(" ", sentence.replace("’", "'")).replace("-", " "))
    marks = marks.strip()
    end = "?" if marks.endswith("?") else "."
    words: list[str] = []
    spoken: list[str] = []
    for token in marks.rstrip("?!. '").split():
        if token == ",":
            if spoken and not spoken[-1].endswith(","):
                spoken[-1] += ","
            continue
        word = token.strip("'")
        if not word:
            continue
        if not _readable(word):
            return None
        words.append(word.lower())
        spoken.append(word.lower())
    if not words:
        return None
    return Prompt(" ".join(words), " ".join(spoken).rstrip(",") + end)


def _readable(word: str) -> bool:
    if not _WORD.fullmatch(word):
        return False
    letters = word.lower().replace("'", "")
    if len(letters) == 1:
        return letters in _LONE_LETTERS
    capitals = sum(character.isupper() for character in word)
    return capitals <= 1 and any(vowel in letters for vowel in "aeiouy")


def _sentences(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                yield from _SENTENCE_END.split(line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot read the text: {error}") from None
