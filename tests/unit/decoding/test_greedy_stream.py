from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.greedy_stream import GreedyStream

ALPHABET = Alphabet(tuple(" ab"))
BLANK = 3


def spoken(classes: list[int], seed: int = 0) -> np.ndarray:
    """Log-probabilities float32[T, 4] whose best classes are ``classes``."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-9.0, -3.0, (len(classes), 4))
    scores[np.arange(len(classes)), classes] = rng.uniform(-1.0, 0.0, len(classes))
    return scores.astype(np.float32)


@given(
    classes=st.lists(st.integers(0, BLANK), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_pieces_are_the_whole(classes: list[int], cuts: list[int]) -> None:
    frames = spoken(classes)
    stream = GreedyStream(ALPHABET)
    for piece in np.split(frames, sorted(min(cut, len(frames)) for cut in cuts)):
        stream.accept(piece)
    assert stream.finish() == greedy_decode(frames, ALPHABET)


@given(classes=st.lists(st.integers(0, BLANK), max_size=40))
def test_partial_is_the_transcript_so_far(classes: list[int]) -> None:
    frames = spoken(classes)
    stream = GreedyStream(ALPHABET, frame_duration_s=0.5)
    for number in range(len(frames)):
        stream.accept(frames[number : number + 1])
        assert stream.partial() == greedy_decode(frames[: number + 1], ALPHABET, 0.5)


def test_text_grows() -> None:
    stream = GreedyStream(ALPHABET)
    texts = []
    for best in (1, 1, BLANK, 1, 0, 0, 2, BLANK, 0, 0):
        stream.accept(spoken([best]))
        texts.append(stream.partial().text)
    assert texts == ["a", "a", "a", "aa", "aa", "aa", "aa b", "aa b", "aa b", "aa b"]


def test_refused_frames_change_nothing() -> None:
    stream = GreedyStream(ALPHABET)
    stream.accept(spoken([1, 2]))
    before = stream.partial()
    bad = spoken([2, 2])
    bad[1, 0] = np.nan
    for frames in (bad, bad[:, :3]):
        with pytest.raises(ValueError, match="log-probabilit"):
            stream.accept(frames)
    assert stream.partial() == before


def test_what_is_kept_grows_with_the_words_only() -> None:
    stream = GreedyStream(ALPHABET)
    stream.accept(spoken([1, 0] + [BLANK] * 5000 + [0] * 5000))
    assert (len(stream._words), len(stream._spans)) == (1, 0)
