from __future__ import annotations

from typing import Any

import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.canonical_json import dump, load, shown


def nested(depth: int) -> Any:
    return [] if depth == 1 else [nested(depth - 1)]


def test_depth_of_sixteen_is_the_last() -> None:
    text = dump({"a": nested(15)}, "here")
    assert load(text, "here") == {"a": nested(15)}
    for bad in ({"a": nested(16)}, {"a": {"b": nested(15)}}):
        with pytest.raises(ModelFileError, match=r"here: JSON nests deeper than 16 \(rule F4\)"):
            dump(bad, "here")
    with pytest.raises(ModelFileError, match="here: JSON nests deeper than 16"):
        load(text.replace("[]", "[[]]"), "here")


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 0])
def test_integers_within_the_cap(value: int) -> None:
    assert load(dump({"a": value}, "here"), "here") == {"a": value}


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**15, 10**16, 10**400])
def test_integers_beyond_the_cap(value: int) -> None:
    if abs(value) < 2**53:
        assert load(f'{{"a":{value}}}', "here") == {"a": value}
        return
    with pytest.raises(ModelFileError, match=r"here: integer .* is beyond"):
        load(f'{{"a":{value}}}', "here")


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2}', '{"a": 1}', '{"a":1} ', ' {"a":1}', '{"a":1.50}', '{"a":1E5}',
        '{"a":"\\u0041"}', '{"a":"\\/"}', '{"a":-0}', '{"a":1e5}', '{"a":"\\ud83d\\ude00"}',
    ],
)  # fmt: skip
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match="here: .*is not canonical JSON"):
        load(text, "here")


@pytest.mark.parametrize(
    "text",
    ["", "{", "nul", '{"a":NaN}', '{"a":-Infinity}', '{"a":1e999}', '{"a":"\\ud800"}',
     '{"a":1,"a":1}', "[]", '"text"', "1", '{"a":01}', "{'a':1}", '{"a":1,}'],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match=r"^here: .*\(rule F4\)$"):
        load(text, "here")


@pytest.mark.parametrize(
    "value", [{"a": 1.5, "b": [True, None, 'é\n"'], "": {}}, {"a": -0.0}, {"a": 5e-324}, {}]
)
def test_values_come_back(value: dict[str, Any]) -> None:
    text = dump(value, "here")
    assert load(text, "here") == value
    assert dump(load(text, "here"), "here") == text


def test_given_key_order_is_kept() -> None:
    assert dump({"b": 1, "a": 2}, "here", sort_keys=False) == '{"b":1,"a":2}'
    assert list(load('{"b":1,"a":2}', "here", sort_keys=False)) == ["b", "a"]


def test_shown_is_short_and_printable() -> None:
    assert shown("a\n\x1b[2Jé") == "'a\\n\\x1b[2J\\xe9'"
    assert len(shown("x" * 1000)) == 80
