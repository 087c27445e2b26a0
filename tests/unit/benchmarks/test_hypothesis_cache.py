"""Hypotheses are found under exactly the key that they were kept under."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.benchmarks.hypothesis_cache import HypothesisCache
from sparsespeech.errors import BenchmarkError

KEY = {"checkpoint": "c", "manifest": "m", "split": None, "decoder": {"decoder": "greedy"}}
TEXTS = ["two words", "", "naïve"]


def test_only_the_same_key_finds_them(tmp_path: Path) -> None:
    cache = HypothesisCache(tmp_path / "new" / "folder")
    assert cache.find(KEY) is None
    cache.keep(KEY, TEXTS)
    assert HypothesisCache(tmp_path / "new" / "folder").find(dict(reversed(KEY.items()))) == TEXTS
    for change in ({"checkpoint": "d"}, {"split": "test"}, {"decoder": {"decoder": "beam"}}):
        assert cache.find({**KEY, **change}) is None


@pytest.mark.parametrize("damage", ["{", "{}", '{"key": {}, "hypotheses": []}', "[]"])
def test_a_damaged_file_is_not_decoded_again_in_silence(tmp_path: Path, damage: str) -> None:
    cache = HypothesisCache(tmp_path)
    cache.keep(KEY, TEXTS)
    (file,) = tmp_path.iterdir()
    file.write_text(damage)
    with pytest.raises(BenchmarkError, match="remove the file to decode again"):
        cache.find(KEY)
