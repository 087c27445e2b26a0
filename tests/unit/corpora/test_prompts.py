from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.corpora.prompts import (
    Prompt,
    make_prompt,
    read_excluded_texts,
    read_prompts,
)
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.errors import ManifestError


@pytest.mark.parametrize(
    ("sentence", "text", "spoken"),
    [
        ("The boy ran home.", "the boy ran home", "the boy ran home."),
        ("“Don’t go,” she said;", "don't go she said", "don't go, she said."),
        ("Is it well-known?", "is it well known", "is it well known?"),
        ("'Yes' — he said!", "yes he said", "yes, he said."),
        ("I saw a dog...", "i saw a dog", "i saw a dog."),
    ],
)
def test_a_sentence_becomes_words_and_pauses(sentence: str, text: str, spoken: str) -> None:
    assert make_prompt(sentence) == Prompt(text, spoken)


@pytest.mark.parametrize(
    "sentence",
    [
        "He was 12 years old",
        "Ask Mr Brown about it",
        "NASA launched it",
        "The café was shut",
        "Vitamin C is good",
        "It costs $ and more",
        "see (below) here",
        "",
        " ... ",
        "'",
    ],
)
def test_a_sentence_that_may_be_read_otherwise_is_left_out(sentence: str) -> None:
    assert make_prompt(sentence) is None


@given(st.text(st.sampled_from("abcXYZ' ,.-;?!’“”1é—\n")))
def test_every_prompt_can_be_written_by_the_alphabet(sentence: str) -> None:
    prompt = make_prompt(sentence)
    if prompt is not None:
        assert prompt.text
        assert not Alphabet().unknown_characters(prompt.text)
        assert prompt.text == " ".join(prompt.text.split())
        assert prompt.spoken.replace(",", "").rstrip(".?") == prompt.text


def test_sentences_are_distinct_bounded_and_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("The cat sat on it. Short one. the cat sat ON it!\nWe like this very much.\n")
    second.write_text("We like this very much. One more line to say here\n")
    texts = [prompt.text for prompt in read_prompts([first, second], shortest=4, longest=6)]
    assert texts == ["the cat sat on it", "we like this very much", "one more line to say here"]
    assert [p.text for p in read_prompts([first, second], shortest=6)] == [
        "one more line to say here"
    ]
    assert [p.text for p in read_prompts([second], excluded_texts=["we like this very much"])] == [
        "one more line to say here"
    ]


def test_text_to_leave_out_comes_from_texts_and_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "m.jsonl").write_text(
        '{"audio_filepath": "a.wav", "duration": 1, "text": "spoken"}'
    )
    (tmp_path / "t.txt").write_text("Held out.")
    assert read_excluded_texts([tmp_path / "m.jsonl", tmp_path / "t.txt"]) == {"spoken", "held out"}


@pytest.mark.parametrize(
    "text", ["HELLO THERE MY OLD FRIEND", "Oh, well-known! Hello there,  my old friend?"]
)
def test_a_transcript_is_left_out_however_it_is_written(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"audio_filepath": "a.wav", "duration": 1, "text": text})
    )
    (tmp_path / "t.txt").write_text("Hello there, my old friend. How do you do today?")
    excluded = read_excluded_texts([tmp_path / "test.jsonl"])
    prompts = read_prompts([tmp_path / "t.txt"], excluded_texts=excluded)
    assert [prompt.text for prompt in prompts] == ["how do you do today"]


def test_an_unreadable_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait\n")
    for name in ("nowhere.txt", "latin.txt"):
        with pytest.raises(ManifestError, match=f"{name}: cannot read the text"):
            read_prompts([tmp_path / name])
