"""Best unigram of all words with a prefix, against trying all words."""

import itertools

import numpy as np
import pytest

from sparsespeech.decoding.lexicon import Lexicon


@pytest.mark.parametrize("size", [1, 2, 3, 17, 200])
def test_best_score_of_a_prefix(size: int) -> None:
    rng = np.random.default_rng(size)
    everything = ["".join(p) for n in (1, 2, 3, 4) for p in itertools.product("ab'c", repeat=n)]
    words = [str(word) for word in rng.choice(everything, size, replace=False)]
    scores = {word: -float(np.float32(rng.exponential())) for word in words}
    lexicon = Lexicon(scores)
    assert len(lexicon) == size
    for prefix in ["", *everything]:
        below = [score for word, score in scores.items() if word.startswith(prefix)]
        assert lexicon.best(prefix) == max(below, default=-np.inf)


def test_prefix_of_the_last_word() -> None:
    assert Lexicon({"a": -1.0, "zz": -2.0}).best("z") == -2.0
    assert Lexicon({"a": -1.0, "zz": -2.0}).best("zzz") == -np.inf
