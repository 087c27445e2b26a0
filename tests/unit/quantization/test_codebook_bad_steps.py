"""A bad step of retraining shared weights: named and survived, as in training, or the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.cli.main import main
from sparsespeech.errors import TrainingError
from sparsespeech.quantization.codebook import build_codebook
from sparsespeech.quantization.codebook_retraining import (
    CodebookRetraining,
    RetrainingCourse,
    RetrainingSpeech,
    retrain,
)
from sparsespeech.quantization.shared_weights import SharedWeights
from sparsespeech.training.batch_loading import SpeechBatch
from sparsespeech.training.checkpoint import Checkpoint, list_checkpoints, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.policy import NORMS_NEEDED
from sparsespeech.training.recipe import parse_recipe
from tests.random_checkpoints import random_checkpoint, trained_weights, write_checkpoint
from tests.retrained_checkpoint import retrained_checkpoint
from tests.sick_recording import make_sick
from tests.tone_corpus import tiny_recipe, write_corpus

SHARED = ("layer2.weight", "layer3.weight")
NAMES = ["a.wav", "b.wav", "c.wav", "d.wav"]
SICK = 2  # number of an utterance


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 12)


# ---- the loop, on noise ----------------------------------------------------------------------


def batches(sick_steps: tuple[int, ...] = ()) -> Iterator[SpeechBatch]:
    """Noise of two utterances a step, 0 and 1 or, at odd steps, 1 and ``SICK``."""
    random = torch.Generator().manual_seed(0)
    for step in range(1000):
        frames = [torch.randn(20, 5, generator=random) for _ in range(2)]
        if step in sick_steps:
            frames[1][3] = torch.nan
        numbers = np.array([1, SICK] if step % 2 else [0, 1])
        yield SpeechBatch.of(frames, [np.array([0, 1, 2]), np.array([2, 0])], numbers)


def start(checkpoint: Checkpoint) -> tuple[DeepSpeech, dict[str, Any]]:
    own = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    given = {name: own[name].numpy() for name in SHARED}
    codebooks = {name: build_codebook(w[w != 0].astype(float), 3) for name, w in given.items()}
    return build_model(replace(checkpoint, weights=own)), codebooks


def retrained(
    steps: int,
    sick_steps: tuple[int, ...] = (),
    factors: dict[int, float] | None = None,
    **policy: object,
) -> tuple[DeepSpeech, RetrainingCourse]:
    """The network after ``steps``; ``factors`` multiply the gradients of single steps."""
    model, codebooks = start(random_checkpoint())
    values = tiny_recipe(Path("none"), policy=policy)
    values["data"] |= {"symbols": "abc"}  # type: ignore[operator]  # a mapping
    # In bf16 torch's product of an odd width reads on into the next row where there are AMX tiles.
    values["optimizer"] |= {"bfloat16": False}  # type: ignore[operator]  # a mapping
    recipe = parse_recipe(values, "test")
    network = scaled(model, factors or {})
    with Progress(disable=True) as progress:
        course = retrain(
            model,
            codebooks,
            RetrainingSpeech(batches(sick_steps), NAMES),
            recipe,
            CodebookRetraining(steps, 0.01),
            progress,
            network=network,
        )
    return model, course


def scaled(model: DeepSpeech, factors: dict[int, float]) -> Callable[[Tensor, Tensor], Tensor]:
    calls = iter(range(1000))

    def forward(frames: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor = model(frames, lengths)
        factor = factors.get(next(calls), 1.0)
        output.register_hook(lambda gradient: gradient * factor)
        return output

    return forward


def same(one: DeepSpeech, other: DeepSpeech) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_a_sick_utterance_is_named_and_its_step_moves_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, course = retrained(1, sick_steps=(0,))
    assert course.losses == []
    assert {step: bad.record for step, bad in course.incidents.items()} == {
        1: {"skipped": ["b.wav"], "not_finite": "loss"}
    }
    assert "step 1: skipped, loss not finite: b.wav" in capsys.readouterr().out
    untouched, codebooks = start(random_checkpoint())
    SharedWeights(dict(untouched.named_parameters()), codebooks)
    assert same(model, untouched)


def test_the_steps_around_a_bad_one_are_trained() -> None:
    model, course = retrained(6, sick_steps=(3,))
    assert list(course.incidents) == [4]
    assert course.incidents[4].record["skipped"] == ["c.wav"]
    assert len(course.losses) == 5 and np.isfinite(course.losses).all()
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert not same(model, retrained(3)[0])


def test_an_infinite_gradient_names_its_batch() -> None:
    model, course = retrained(2, factors={1: float("inf")})
    assert course.incidents[2].record == {"skipped": ["b.wav", "c.wav"], "not_finite": "gradient"}
    assert len(course.losses) == 1
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_an_exploding_gradient_is_reported() -> None:
    _, course = retrained(NORMS_NEEDED + 2, factors={NORMS_NEEDED: 1e6})
    assert list(course.incidents) == [NORMS_NEEDED + 1]
    facts = course.incidents[NORMS_NEEDED + 1].record["explosion"]
    assert facts["gradient_norm"] > 1e4 * facts["median"]
    assert sorted(facts["utterances"]) == ["a.wav", "b.wav"]
    assert len(course.losses) == NORMS_NEEDED + 2


def test_bad_steps_in_a_row_end_it() -> None:
    sick = (1, 2, 4, 5, 6)
    _, course = retrained(8, sick_steps=sick, stop_after_skipped=4)
    assert list(course.incidents) == [2, 3, 5, 6, 7]  # a good step forgives
    with pytest.raises(TrainingError, match=r"step 6: .*3 skipped.* b\.wav; give a lower --learn"):
        retrained(8, sick_steps=sick, stop_after_skipped=3)
    with pytest.raises(TrainingError, match=r"step 1: .* c\.wav"):
        retrained(8, sick_steps=sick, skip_non_finite=False)


# ---- the command, on a corpus ----------------------------------------------------------------


@pytest.fixture
def sick(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One utterance has a frame of NaN in every batch; its recording."""
    return make_sick(SICK, manifest, monkeypatch)


def float_checkpoint(run: Path, manifest: Path, policy: dict[str, Any]) -> None:
    source = random_checkpoint(hidden=8, context=2, coefficients=26, labels=5)
    recipe = parse_recipe(tiny_recipe(manifest, policy=policy), "test").model_dump(mode="json")
    write_checkpoint(run, source, recipe, trained_weights(source))


@pytest.mark.parametrize("rounded", [False, True])
def test_compress_survives_a_sick_recording(
    rounded: bool, manifest: Path, tmp_path: Path, sick: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = tmp_path / "run", tmp_path / "shared"
    if rounded:
        retrained_checkpoint(run, manifest, {})
    else:
        float_checkpoint(run, manifest, {})
    command = ["compress", str(run), "--codebook", "4", "--output", str(output), "--json"]
    assert main([*command, "--retrain-steps", "12"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)["incidents"]
    assert 1 <= len(found) < 12
    for incident in found:
        assert (incident["skipped"], incident["not_finite"]) == ([sick], "loss")
        assert f"step {incident['step']}: skipped, loss not finite: {sick}" in said.err
    shared = load_checkpoint(output)
    assert shared.facts["progress"]["codebook"]["retraining"]["skipped"] == len(found)
    assert all(bool(torch.isfinite(weight).all()) for weight in shared.weights.values())


def test_compress_gives_up_as_the_recipe_says(
    manifest: Path, tmp_path: Path, sick: str, capsys: pytest.CaptureFixture[str]
) -> None:
    float_checkpoint(tmp_path / "run", manifest, {"skip_non_finite": False})
    output = tmp_path / "shared"
    command = ["compress", str(tmp_path / "run"), "--codebook", "4", "--output", str(output)]
    assert main([*command, "--retrain-steps", "12"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert sick in said and "give a lower --learning-rate" in said
    assert not list_checkpoints(output)
