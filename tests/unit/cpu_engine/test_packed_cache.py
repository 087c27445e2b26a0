from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine import packed_cache
from sparsespeech.cpu_engine.layers import describe_layers
from sparsespeech.cpu_engine.packed_cache import (
    CacheKey,
    Tuning,
    cache_files,
    cache_folder,
    cache_key,
    clear_cache,
    find_tuning,
    pattern_digest,
    read_tuning,
    write_tuning,
)
from sparsespeech.errors import PackedCacheError
from tests.random_models import random_integer_model

EMPTY = 2**32 - 1
KEY = CacheKey("ab" * 32, "A processor, 2 GHz", "avx2", 2)
TUNING = Tuning(
    unit_orders={"layer3.forward": np.array([2, 0, 1], np.uint32)},
    row_orders={"layer2": np.array([1, 0, EMPTY, 2], np.uint32)},
    layers={"layer3": {"sweep_window": 96, "sweep_groups": 4, "dense_product_from": 2.0}},
    facts={"turns": 3, "packed_bytes": [7, 6]},
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSESPEECH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def layers(seed: int, **settings: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return describe_layers(random_integer_model(rng, hidden=12, **settings))


def assert_same(found: Tuning, expected: Tuning) -> None:
    for got, wanted in (
        (found.unit_orders, expected.unit_orders),
        (found.row_orders, expected.row_orders),
    ):
        assert got.keys() == wanted.keys()
        for name, order in wanted.items():
            assert got[name].dtype == np.uint32
            assert np.array_equal(got[name], order)
    assert found.layers == expected.layers
    assert found.facts == expected.facts


def test_what_is_written_is_read(folder: Path) -> None:
    path = write_tuning(KEY, TUNING)
    assert path == KEY.path
    assert path.parent == folder
    assert_same(read_tuning(KEY), TUNING)
    write_tuning(KEY, Tuning({}, {}))
    assert_same(read_tuning(KEY), Tuning({}, {}))
    assert cache_files() == [path]


def test_options_take_the_tuning_without_another_search() -> None:
    options = TUNING.options()
    assert options["unit_orders"] is TUNING.unit_orders
    assert options["row_orders"] is TUNING.row_orders
    assert options["layers"] is TUNING.layers
    assert options["search"] == {"column_rounds": 0, "swaps_per_row": 0}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SPARSESPEECH_CACHE_DIR": "/a"}, "/a"),
        ({"SPARSESPEECH_CACHE_DIR": "", "XDG_CACHE_HOME": "/b"}, "/b/sparsespeech"),
        ({"SPARSESPEECH_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/c"},
         "/c/.cache/sparsespeech"),
    ],
)  # fmt: skip
def test_folder(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


# ---- keys ------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_pattern() -> None:
    first = layers(1)
    assert pattern_digest(first) == pattern_digest(layers(1))
    assert len(pattern_digest(first)) == 64
    others = [layers(2), layers(1, bidirectional=False), layers(1, peephole=True), first[:-1]]
    moved = layers(1)
    matrix = moved[0]["weights"]
    matrix["column"] = matrix["column"].copy()
    matrix["column"][0] ^= 1
    renamed = [{**layer, "name": "x" + layer["name"]} for layer in layers(1)]
    widened = layers(1)
    widened[1]["weights"]["columns"] += 1
    digests = {pattern_digest(each) for each in (first, moved, renamed, widened, *others[:2])}
    assert len(digests) == 6
    assert pattern_digest(others[3]) not in digests


def test_values_do_not_change_the_digest() -> None:
    first, second = layers(1), layers(1)
    second[0]["weights"]["value"] = -second[0]["weights"]["value"]
    second[0]["zero_point"] += 1
    assert pattern_digest(first) == pattern_digest(second)


def test_each_key_has_its_file() -> None:
    keys = [
        KEY,
        CacheKey("cd" * 32, KEY.processor, "avx2", 2),
        CacheKey(KEY.model, "Another", "avx2", 2),
        CacheKey(KEY.model, KEY.processor, "avx512", 2),
        CacheKey(KEY.model, KEY.processor, "avx2", 1),
    ]
    assert len({key.path for key in keys}) == len(keys)


# ---- finding ---------------------------------------------------------------------------------


def test_find(monkeypatch: pytest.MonkeyPatch) -> None:
    model = layers(1)
    assert find_tuning(model, "avx2", 2) is None
    key = cache_key(model, "avx2", 2)
    write_tuning(key, TUNING)
    found = find_tuning(model, "avx2", 2)
    assert found is not None
    assert_same(found[0], TUNING)
    assert found[1] == key.path
    assert find_tuning(layers(2), "avx2", 2) is None
    assert find_tuning(model, "avx2", 1) is None
    assert find_tuning(model, "scalar", 2) is None
    monkeypatch.setattr("sparsespeech.machine.processor_name", lambda: "Another")
    assert find_tuning(model, "avx2", 2) is None


def test_no_digest_where_nothing_was_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layers: object) -> str:
        raise AssertionError("took the time for a digest")

    write_tuning(cache_key(layers(1), "avx2", 3), TUNING)
    monkeypatch.setattr(packed_cache, "pattern_digest", fail)
    assert find_tuning(layers(1), "avx2", 2) is None
    with pytest.raises(AssertionError, match="digest"):
        find_tuning(layers(1), "avx2", 3)


# ---- broken files ----------------------------------------------------------------------------


def assert_refused(match: str | None = None) -> None:
    with pytest.raises(PackedCacheError, match=match) as caught:
        read_tuning(KEY)
    message = str(caught.value)
    assert message.startswith(f"{KEY.path}: ")
    assert "`sparsespeech tune --clear`" in message
    assert "\n" not in message


def test_every_flipped_bit_is_noticed() -> None:
    content = write_tuning(KEY, TUNING).read_bytes()
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 1 << place % 8
        KEY.path.write_bytes(bytes(broken))
        assert_refused()
    KEY.path.write_bytes(content)
    assert_same(read_tuning(KEY), TUNING)


def test_every_length_is_noticed() -> None:
    content = write_tuning(KEY, TUNING).read_bytes()
    for length in range(0, len(content), 7):
        KEY.path.write_bytes(content[:length])
        assert_refused()
    KEY.path.write_bytes(content + b"\0")
    assert_refused("follow the last tensor")


def test_a_foreign_file() -> None:
    other = CacheKey("cd" * 32, KEY.processor, KEY.instruction_set, KEY.threads)
    write_tuning(other, TUNING).rename(KEY.path)
    assert_refused("tuned for another model or machine")


def test_files_that_hold_something_else(folder: Path) -> None:
    folder.mkdir()
    KEY.path.write_bytes(b"hello")
    assert_refused("no sparsespeech model file, or it is damaged|does not start")
    KEY.path.unlink()
    KEY.path.mkdir()
    assert_refused("Is a directory")
    KEY.path.rmdir()
    assert_refused("No such file")


def test_a_huge_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_cache, "LARGEST_FILE", 100)
    write_tuning(KEY, TUNING)
    assert_refused("more than 100 bytes")


@pytest.mark.parametrize(
    "layers",
    [
        {"layer3": {"sweep_window": 96}},
        {"layer3": {"sweep_window": 80, "sweep_groups": 4}},
        {"layer3": {"sweep_window": 96, "sweep_groups": -1}},
        {"layer3": {"dense_tile_from": 0.5}},
        {"layer3": {"search": 1}},
        {"layer3": 1},
        [],
    ],
)
def test_choices_that_no_search_makes(layers: Any) -> None:
    write_tuning(KEY, Tuning({}, {}, layers))
    assert_refused("layers or facts are not what tune writes")


def test_orders_of_the_wrong_kind() -> None:
    content = packed_cache.container.Container(
        {"key": packed_cache._key_json(KEY), "layers": {}, "facts": {}},
        {"units.layer3": np.zeros(3, np.int64)},
    )
    KEY.path.parent.mkdir()
    KEY.path.write_bytes(packed_cache.container.serialise(content))
    assert_refused("expected an int32 order")
    content.tensors["weights"] = content.tensors.pop("units.layer3").astype(np.int32)
    KEY.path.write_bytes(packed_cache.container.serialise(content))
    assert_refused("'weights': expected an int32 order")
    content.manifest["more"] = 1
    KEY.path.write_bytes(packed_cache.container.serialise(content))
    assert_refused("expected key, layers and facts")


# ---- clearing --------------------------------------------------------------------------------


def test_clear(folder: Path) -> None:
    assert clear_cache() == []
    other = CacheKey("cd" * 32, KEY.processor, KEY.instruction_set, KEY.threads)
    paths = [write_tuning(KEY, TUNING), write_tuning(other, TUNING)]
    kept = folder / "notes.txt"
    kept.write_text("mine")
    assert clear_cache(KEY) == [KEY.path]
    assert clear_cache(KEY) == []
    assert cache_files() == [other.path]
    KEY.path.write_bytes(b"broken")
    assert clear_cache() == sorted(paths)
    assert kept.read_text() == "mine"
