"""SubRip (SRT) and WebVTT subtitles from words with times.

A cue ends before the word that would make it longer than 42 characters or 5 seconds, and where
the speaker pauses for a second or more. A single word longer than that is a cue of its own.
Format: https://www.w3.org/TR/webvtt1/ section 4; SRT as players read it (comma before the
milliseconds, cues numbered from 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sparsespeech.decoding.transcript import Word

LONGEST_LINE = 42  # characters
LONGEST_CUE_S = 5.0
PAUSE_S = 1.0
_SHORTEST_CUE_S = 0.001  # the formats count milliseconds and want the end after the start


@dataclass(frozen=True)
class Cue:
    """One line on the screen; times in seconds from the start of the recording."""

    start: float
    end: float
    text: str


def split_into_cues(words: Iterable[Word]) -> list[Cue]:
    """Cues in the order of ``words``; each word stands in exactly one."""
    cues: list[Cue] = []
    current: list[Word] = []
    for word in words:
        if current and not _fits(current, word):
            cues.append(_cue(current))
            current = []
        current.append(word)
    if current:
        cues.append(_cue(current))
    return cues


def _fits(current: list[Word], word: Word) -> bool:
    characters = sum(len(each.word) + 1 for each in current) + len(word.word)
    return (
        characters <= LONGEST_LINE
        and word.end - current[0].start <= LONGEST_CUE_S
        and word.start - current[-1].end < PAUSE_S
    )


def _cue(words: list[Word]) -> Cue:
    start, end = words[0].start, words[-1].end
    return Cue(start, max(end, start + _SHORTEST_CUE_S), " ".join(word.word for word in words))


def to_srt(words: Iterable[Word]) -> str:
    """SubRip text of ``words``; empty for no words."""
    return "".join(
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(split_into_cues(words), start=1)
    )


def to_vtt(words: Iterable[Word]) -> str:
    """WebVTT text of ``words``; only the header line for no words."""
    return "WEBVTT\n\n" + "".join(
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{_escape(cue.text)}\n\n"
        for cue in split_into_cues(words)
    )


def _time(seconds: float, separator: str) -> str:
    """``hh:mm:ss,mmm``; more than 99 hours take more digits."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{separator}{rest % 1000:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
