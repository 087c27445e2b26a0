"""The stream of the vectors: known words of SplitMix64, range, independence of numpy."""

import hashlib

import numpy as np

from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers

MASK = 2**64 - 1


def split_mix(state, count):
    words = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        words.append(z ^ (z >> 31))
    return words


def test_words_are_those_of_the_algorithm():
    start = int.from_bytes(hashlib.sha256(b"stream").digest()[:8], "little")
    stream = SeededIntegers("stream")
    words = [*stream.bits(3).tolist(), *stream.bits(4).tolist()]
    assert words == split_mix(start, 7)


def test_the_published_first_word_of_seed_zero():
    assert split_mix(0, 1) == [0xE220A8397B1DCDAF]


def test_integers_fill_their_range():
    values = SeededIntegers("range").integers(-3, 4, (50, 40))
    assert values.shape == (50, 40) and values.dtype == np.int64
    assert set(values.reshape(-1).tolist()) == set(range(-3, 5))


def test_streams_differ_by_name():
    assert (SeededIntegers("a").bits(4) != SeededIntegers("b").bits(4)).all()
