"""Retraining of shared weights: the values of the codebooks move, which weight has which stays.

Axes: B utterances, T frames, F coefficients, V labels.

How the values move is in ``shared_weights.py``. A bad step does here what it does in training.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.quantization.codebook import Codebook
from sparsespeech.quantization.shared_weights import SharedWeights
from sparsespeech.training.batch_loading import BatchLoader, Normalisation, SpeechBatch
from sparsespeech.training.batches import BatchPlan
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.dataset import load_dataset
from sparsespeech.training.incident import NAMED_UTTERANCES, Incident, exploded
from sparsespeech.training.objective import BatchLoss, network_loss
from sparsespeech.training.policy import StepPolicy
from sparsespeech.training.recipe import Recipe


@dataclass(frozen=True)
class CodebookRetraining:
    """How many steps; ``learning_rate`` falls from its first value to 0 along half a cosine."""

    steps: int
    learning_rate: float


@dataclass(frozen=True, eq=False)
class RetrainingSpeech:
    """What the codebooks are trained on; ``names`` are the recordings of a batch's numbers."""

    batches: Iterator[SpeechBatch]
    names: Sequence[str]

    def named(self, batch: SpeechBatch, places: Tensor) -> list[str]:
        """Recordings of the utterances at ``places`` of ``batch``."""
        return [self.names[number] for number in sorted({*batch.numbers[places.cpu().numpy()]})]


@dataclass(frozen=True, eq=False)
class RetrainingCourse:
    """CTC losses of the steps that moved something, and what went wrong, by step from 1 on."""

    losses: list[float]  # nats a character
    incidents: dict[int, Incident]


def retrain(
    model: DeepSpeech,
    codebooks: Mapping[str, Codebook],
    speech: RetrainingSpeech,
    recipe: Recipe,
    settings: CodebookRetraining,
    progress: Progress,
    *,
    network: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> RetrainingCourse:
    """Train the codebooks and all parameters but weight matrices, in place.

    A matrix without a codebook, as one without a nonzero, stays what it is. Dropout is off: a few
    hundred values cannot overfit. ``network`` computes log-probabilities
    [T, B, V] of frames [B, T, F] and lengths [B] with the parameters of ``model``; by default
    ``model`` itself does. A bad step is judged, and said on the console of ``progress``, as the
    recipe's policy has it in training; raises TrainingError where that gives up.
    """
    shared = SharedWeights(dict(model.named_parameters()), codebooks)
    matrices = prunable_names(model)
    free = [p for name, p in model.named_parameters() if name not in matrices]
    trained = [*shared.values.values(), *free]
    optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=0.0)
    policy = StepPolicy(recipe.policy, "give a lower --learning-rate")
    limit, blank = recipe.optimizer.gradient_clip, len(recipe.data.symbols)
    device = next(model.parameters()).device
    model.eval()
    course = RetrainingCourse([], {})
    for step in progress.track(range(settings.steps), description="retrain codebooks"):
        cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        optimizer.param_groups[0]["lr"] = settings.learning_rate * cosine
        batch = next(speech.batches).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.optimizer.bfloat16):
            loss = network_loss(network or model, model, batch, blank)
        norm = math.nan  # that of no gradient
        if not loss.is_broken():
            model.zero_grad(set_to_none=True)
            loss.total.backward()
            shared.take_gradients()
            norm = float(nn.utils.clip_grad_norm_(trained, limit))
        incident = _judge(policy, step, norm, limit, speech, batch, loss)
        if incident is not None:
            course.incidents[step + 1] = incident
            incident.say(progress.console, step + 1)
        if math.isfinite(norm):
            optimizer.step()
            shared.write_weights()
            course.losses.append(loss.ctc)
    return course


def _judge(
    policy: StepPolicy,
    step: int,
    norm: float,
    limit: float,
    speech: RetrainingSpeech,
    batch: SpeechBatch,
    loss: BatchLoss,
) -> Incident | None:
    """What is wrong with a step whose gradient has the ``norm``; TrainingError if too much is."""
    if loss.is_broken():
        return policy.skip(step, "loss", speech.named(batch, loss.suspects()))
    if not math.isfinite(norm):
        return policy.skip(step, "gradient", speech.named(batch, loss.largest(len(batch.numbers))))
    usual = policy.explosion(norm)
    if usual is None or norm <= limit:  # a large norm, but none that was clipped
        return None
    return exploded(norm, usual, speech.named(batch, loss.largest(NAMED_UTTERANCES)))


def retraining_speech(
    checkpoint: Checkpoint, recipe: Recipe, steps: int, features: Path, progress: Progress
) -> RetrainingSpeech:
    """The recipe's training speech in batches, shuffled as from its second epoch on.

    Sources that the recipe leaves before its end are left out, nothing is augmented. The folder
    ``features`` keeps the features. Raises what reading recipe, manifests and recordings raises.
    """
    lasting = [source for source in recipe.data.train if source.until >= 1.0]
    data = recipe.data.model_copy(update={"train": lasting or recipe.data.train})
    dataset = load_dataset(
        data.train,
        checkpoint.features,
        Alphabet(checkpoint.labels),
        features,
        max_duration_s=data.max_duration_s,
        progress=progress,
    )
    plan = BatchPlan(dataset.lengths, dataset.source, data, seed=recipe.seed, steps=steps)
    normalisation = Normalisation(checkpoint.mean, checkpoint.deviation)
    cpu = torch.device("cpu")
    loader = BatchLoader(recipe, dataset, plan, normalisation, None, cpu, rank=0)
    # The first epoch is sorted from short to long, for networks that know nothing yet.
    batches = (loader.load(step) for step in itertools.count() if plan.at(step).epoch > 0)
    return RetrainingSpeech(batches, dataset.names)
