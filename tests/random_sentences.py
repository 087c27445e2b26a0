"""Sentences of invented words with repeating patterns, for tests of language models."""

from __future__ import annotations

import random


def random_sentences(seed: int, count: int = 2000, words: str = "abcdefgh") -> list[list[str]]:
    """Each word depends on the one before it, frequent words first, so that n-grams repeat."""
    rng = random.Random(seed)
    sentences = []
    for _ in range(count):
        length = rng.randint(1, 9)
        sentence = [rng.choice(words)]
        while len(sentence) < length:
            reach = rng.choice((1, 2, len(words)))
            start = words.index(sentence[-1])
            sentence.append(words[(start + rng.randrange(reach) + 1) % len(words)])
        sentences.append(sentence)
    return sentences
