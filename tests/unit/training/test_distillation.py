"""The teacher's share of the loss, against the formula in numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sparsespeech.errors import RecipeError
from sparsespeech.training.batch_loading import Normalisation, SpeechBatch
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.distillation import Teacher
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus

LENGTHS = [9, 5]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("teacher")
    manifest = write_corpus(folder / "corpus", 6)
    train(parse_recipe(tiny_recipe(manifest), "test"), folder / "run", stop_after=3)
    return folder / "run"


@pytest.fixture(scope="module")
def checkpoint(run: Path) -> Checkpoint:
    return load_checkpoint(run)


def recipe(run: Path, **distillation: object) -> Recipe:
    values = tiny_recipe(Path("m.jsonl"), distillation={"teacher": str(run), **distillation})
    return parse_recipe(values, "test")


def own(checkpoint: Checkpoint) -> Normalisation:
    return Normalisation(checkpoint.mean, checkpoint.deviation)


def teacher(run: Path, checkpoint: Checkpoint, **distillation: object) -> Teacher:
    built = Teacher.build(recipe(run, **distillation), own(checkpoint), torch.device("cpu"))
    assert built is not None
    return built


@pytest.fixture
def batch(checkpoint: Checkpoint) -> SpeechBatch:
    torch.manual_seed(2)
    frames = torch.randn(2, 9, len(checkpoint.mean))
    frames[1, 5:] = 0.0
    empty = torch.zeros(0, dtype=torch.int64)
    return SpeechBatch(frames, torch.tensor(LENGTHS), empty, empty, np.array([0, 1]))


@pytest.fixture
def pupil() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(9, 2, 6).log_softmax(dim=-1)


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("blank_weight", [1.0, 0.1, 0.0])
def test_divergence_is_the_formula_on_real_frames(
    run: Path,
    checkpoint: Checkpoint,
    batch: SpeechBatch,
    pupil: torch.Tensor,
    temperature: float,
    blank_weight: float,
) -> None:
    subject = teacher(
        run, checkpoint, temperature=temperature, blank_frame_weight=blank_weight, weight=0.3
    )
    said = build_model(checkpoint)(batch.frames, batch.lengths).detach()
    said[2, 0] = torch.tensor([-9.0, -9, -9, -9, -9, 0.0]).log_softmax(dim=-1)  # surely blank
    subject.log_probabilities = lambda _: said  # type: ignore[method-assign] # some blanks for sure
    expected = []
    for place, length in enumerate(LENGTHS):
        p = softmax(said[:length, place].double().numpy() / temperature)
        q = softmax(pupil[:length, place].double().numpy() / temperature)
        weights = np.where(said[:length, place, -1].exp() > 0.99, blank_weight, 1.0)
        expected.append(temperature**2 * float((weights * (p * np.log(p / q)).sum(-1)).sum()))
    found = subject.divergences(pupil, batch)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_padding_says_nothing(
    run: Path, checkpoint: Checkpoint, batch: SpeechBatch, pupil: torch.Tensor
) -> None:
    subject = teacher(run, checkpoint)
    expected = subject.divergences(pupil, batch)
    pupil[5:, 1] = torch.nan
    assert torch.equal(subject.divergences(pupil, batch), expected)
    pupil[4, 1] = torch.nan
    assert torch.isnan(subject.divergences(pupil, batch)).tolist() == [False, True]


def test_who_repeats_the_teacher_has_no_divergence(
    run: Path, checkpoint: Checkpoint, batch: SpeechBatch
) -> None:
    subject = teacher(run, checkpoint, temperature=3.0)
    said = subject.log_probabilities(batch).requires_grad_()
    divergences = subject.divergences(said, batch)
    np.testing.assert_allclose(divergences.detach().numpy(), 0.0, atol=1e-5)
    divergences.sum().backward()
    assert said.grad is not None
    assert float(said.grad.abs().max()) < 1e-5


def test_a_teacher_with_another_normalisation_hears_the_same(
    run: Path, checkpoint: Checkpoint, batch: SpeechBatch
) -> None:
    mean, deviation = checkpoint.mean + 3.0, checkpoint.deviation * 1.7
    other = Teacher.build(recipe(run), Normalisation(mean, deviation), torch.device("cpu"))
    assert other is not None
    raw = batch.frames * torch.from_numpy(checkpoint.deviation) + torch.from_numpy(checkpoint.mean)
    shown = (raw - torch.from_numpy(mean)) / torch.from_numpy(deviation)
    valid = torch.arange(9)[:, None] < batch.lengths
    frames = torch.where(valid.T[..., None], shown, 0.0).float()
    renormalised = SpeechBatch(
        frames, batch.lengths, batch.targets, batch.target_lengths, batch.numbers
    )
    expected = teacher(run, checkpoint).log_probabilities(batch)
    torch.testing.assert_close(other.log_probabilities(renormalised), expected, rtol=0, atol=1e-4)


def test_a_teacher_never_learns(run: Path, checkpoint: Checkpoint, batch: SpeechBatch) -> None:
    subject = teacher(run, checkpoint)
    assert not subject.log_probabilities(batch).requires_grad
    assert not any(p.requires_grad for p in subject._model.parameters())
    assert not subject._model.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.symbols": " abc"}, "data.symbols is ' abc'"),
        ({"model.features": {"context": 3}}, "set model.features"),
    ],
)
def test_a_teacher_of_other_features_or_symbols_is_refused(
    run: Path, checkpoint: Checkpoint, changes: dict[str, object], message: str
) -> None:
    values = tiny_recipe(Path("m.jsonl"), distillation={"teacher": str(run)})
    for key, value in changes.items():
        section, name = key.split(".")
        values[section][name] = value
    with pytest.raises(RecipeError, match=message):
        Teacher.build(parse_recipe(values, "test"), own(checkpoint), torch.device("cpu"))


def test_no_teacher_is_built_where_none_is_named(checkpoint: Checkpoint) -> None:
    plain = parse_recipe(tiny_recipe(Path("m.jsonl")), "test")
    assert Teacher.build(plain, own(checkpoint), torch.device("cpu")) is None
