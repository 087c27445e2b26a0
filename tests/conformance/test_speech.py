"""Utterances end to end: no executor gives another logit than the reference.

The folder of the environment variable CONFORMANCE_RECORDINGS holds real recordings; without it the
bundled ones are varied. ``speech`` is the same as a script.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from tests.conformance.speech import (
    count_differences,
    recorded_utterances,
    synthesised_utterances,
)
from tests.instruction_sets import built_instruction_sets
from tests.talkative_model import talkative_model

FOLDER = os.environ.get("CONFORMANCE_RECORDINGS")
UTTERANCES = 200

needs_engine = pytest.mark.skipif(not built_instruction_sets(), reason="the engine was not built")


def model_of(name: str) -> IntegerModel:
    if name == "unidirectional":
        return talkative_model(hidden=256)
    return read_model(bundled_models()[name])


def assert_no_difference(model: IntegerModel, count: int) -> None:
    utterances = (
        recorded_utterances(Path(FOLDER), count) if FOLDER else synthesised_utterances(count)
    )
    found = count_differences(model, utterances)
    ways = 2 if model.graph.bidirectional else 3
    assert len(found["differing"]) == ways * len(built_instruction_sets())
    assert found["utterances"] == count
    assert found["logits"] > 50 * count
    assert set(found["differing"].values()) == {0}, found


@needs_engine
def test_some_utterances() -> None:
    assert_no_difference(talkative_model(hidden=32), 7)


@needs_engine
@pytest.mark.slow
@pytest.mark.parametrize("name", [*bundled_models(), "unidirectional"])
def test_many_utterances(name: str) -> None:
    assert_no_difference(model_of(name), UTTERANCES)
