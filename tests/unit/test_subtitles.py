from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.decoding.transcript import Word
from sparsespeech.subtitles import LONGEST_CUE_S, LONGEST_LINE, split_into_cues, to_srt, to_vtt


def words(text: str, *, start: float = 0.0, each: float = 0.4, gap: float = 0.1) -> list[Word]:
    step = each + gap
    return [
        Word(word, start + number * step, start + number * step + each, 0.9)
        for number, word in enumerate(text.split())
    ]


def test_srt() -> None:
    talk = [*words("good day"), *words("to all", start=3661.5)]
    assert to_srt(talk) == (
        "1\n00:00:00,000 --> 00:00:00,900\ngood day\n\n2\n01:01:01,500 --> 01:01:02,400\nto all\n\n"
    )


def test_vtt() -> None:
    assert to_vtt(words("a<b &c")) == ("WEBVTT\n\n00:00:00.000 --> 00:00:00.900\na&lt;b &amp;c\n\n")


def test_no_words() -> None:
    assert to_srt([]) == ""
    assert to_vtt([]) == "WEBVTT\n\n"


def test_long_lines_are_split_at_words() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away"
    cues = split_into_cues(words(text, each=0.1, gap=0.01))
    assert [cue.text for cue in cues] == [
        "the quick brown fox jumps over the lazy",
        "dog and runs away",
    ]


def test_slow_speech_is_split_by_time() -> None:
    cues = split_into_cues(words("one two three four", each=1.9))
    assert [cue.text for cue in cues] == ["one two", "three four"]


def test_pause_starts_a_cue() -> None:
    talk = [*words("yes"), *words("no", start=1.5)]
    assert [cue.text for cue in split_into_cues(talk)] == ["yes", "no"]
    nearer = [*words("yes"), *words("no", start=1.3)]
    assert [cue.text for cue in split_into_cues(nearer)] == ["yes no"]


def test_word_of_no_duration_is_shown() -> None:
    assert "00:00:01,000 --> 00:00:01,001" in to_srt([Word("a", 1.0, 1.0, 0.5)])


@given(
    st.lists(
        st.tuples(
            st.text("abcdefg", min_size=1, max_size=60),
            st.floats(0, 7, allow_nan=False),
            st.floats(0, 7, allow_nan=False),
        )
    )
)
def test_cues_hold_every_word_within_the_limits(spoken: list[tuple[str, float, float]]) -> None:
    talk, time = [], 0.0
    for text, gap, duration in spoken:
        talk.append(Word(text, time + gap, time + gap + duration, 1.0))
        time += gap + duration
    cues = split_into_cues(talk)
    assert " ".join(cue.text for cue in cues) == " ".join(word.word for word in talk)
    for cue in cues:
        several = " " in cue.text
        assert not several or len(cue.text) <= LONGEST_LINE
        assert not several or cue.end - cue.start <= LONGEST_CUE_S
        assert cue.start < cue.end
    numbers = re.findall(r"^(\d+)$", to_srt(talk), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(cues) + 1)]
