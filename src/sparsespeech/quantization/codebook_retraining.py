"""Retraining of shared weights: the values of the codebooks move, which weight has which stays.

Axes: B utterances, T frames, F coefficients, V labels, n nonzeros of a matrix, K values of its
codebook.

As in deep compression: the gradient of a shared value is the sum of the gradients of the weights
that have it. Pruned weights stay 0. The network runs with plain weight matrices, so every kernel of
training serves; only between the steps are the matrices written anew from their codebooks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.errors import TrainingError
from sparsespeech.quantization.codebook import Codebook
from sparsespeech.training.batch_loading import BatchLoader, Normalisation, SpeechBatch
from sparsespeech.training.batches import BatchPlan
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.dataset import load_dataset
from sparsespeech.training.objective import batch_loss
from sparsespeech.training.recipe import Recipe


@dataclass(frozen=True)
class Retraining:
    """How many steps; ``learning_rate`` falls from its first value to 0 along half a cosine."""

    steps: int
    learning_rate: float


class SharedWeights:
    """Matrices whose nonzeros are written from trained codebooks."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], codebooks: Mapping[str, Codebook]
    ) -> None:
        """Each parameter of ``codebooks`` takes its nearest values now; its zeros are kept."""
        self._parameters = {name: parameters[name] for name in codebooks}
        self._places: dict[str, Tensor] = {}  # int64[n] in the flat matrix
        self._codes: dict[str, Tensor] = {}  # int64[n]
        self.values: dict[str, nn.Parameter] = {}  # float32[K]
        for name, codebook in codebooks.items():
            flat = parameters[name].detach().reshape(-1)
            places = flat.nonzero()[:, 0]
            codes = codebook.codes(flat[places].cpu().numpy())
            self._places[name] = places
            self._codes[name] = torch.from_numpy(codes).to(flat.device)
            self.values[name] = nn.Parameter(
                torch.from_numpy(codebook.values).to(flat.device, torch.float32)
            )
        self.write_weights()

    def take_gradients(self) -> None:
        """Move the gradients of the matrices to the codebooks: a sum over each value's weights."""
        for name, parameter in self._parameters.items():
            values = self.values[name]
            if parameter.grad is None:
                values.grad = None
                continue
            # float64: up to millions of gradients meet in one sum.
            flat = parameter.grad.reshape(-1)[self._places[name]].double()
            total = torch.zeros_like(values, dtype=torch.float64)
            values.grad = total.index_add_(0, self._codes[name], flat).to(values.dtype)
            parameter.grad = None

    def write_weights(self) -> None:
        """Put the value of each nonzero into its matrix."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                shared = self.values[name].detach()[self._codes[name]]
                parameter.view(-1)[self._places[name]] = shared.to(parameter.dtype)

    def codebooks(self) -> dict[str, Codebook]:
        """The codebooks as they are now; values may have met or passed each other."""
        return {
            name: Codebook(np.unique(values.detach().cpu().double().numpy()))
            for name, values in self.values.items()
        }


def retrain(
    model: DeepSpeech,
    codebooks: Mapping[str, Codebook],
    batches: Iterator[SpeechBatch],
    recipe: Recipe,
    settings: Retraining,
    progress: Progress,
    *,
    network: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[float]:
    """Train the codebooks and all parameters without one, in place; the CTC losses of the steps.

    Losses are in nats a character. Dropout is off: a few hundred values cannot overfit.
    ``network`` computes log-probabilities [T, B, V] of frames [B, T, F] and lengths [B] with the
    parameters of ``model``; by default ``model`` itself does. Raises TrainingError where loss or
    gradients are not finite.
    """
    shared = SharedWeights(dict(model.named_parameters()), codebooks)
    free = [p for name, p in model.named_parameters() if name not in codebooks]
    trained = [*shared.values.values(), *free]
    optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=0.0)
    device = next(model.parameters()).device
    blank = len(recipe.data.symbols)
    model.eval()
    losses = []
    for step in progress.track(range(settings.steps), description="retrain codebooks"):
        cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        optimizer.param_groups[0]["lr"] = settings.learning_rate * cosine
        batch = next(batches).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.optimizer.bfloat16):
            output = (network or model)(batch.frames, batch.lengths)
        loss = batch_loss(output, batch, blank, None).total
        model.zero_grad(set_to_none=True)
        loss.backward()
        shared.take_gradients()
        norm = nn.utils.clip_grad_norm_(trained, recipe.optimizer.gradient_clip)
        if not math.isfinite(loss.item() + norm.item()):
            raise TrainingError(
                f"codebook step {step}: loss {loss.item()}, gradient norm {norm.item()}: the "
                "retraining diverged; give a lower --learning-rate"
            )
        optimizer.step()
        shared.write_weights()
        losses.append(loss.item())
    return losses


def training_batches(
    checkpoint: Checkpoint, recipe: Recipe, steps: int, progress: Progress
) -> Iterator[SpeechBatch]:
    """Batches of the recipe's training speech, shuffled as from its second epoch on.

    Sources that the recipe leaves before its end are left out, nothing is augmented. Features are
    kept beside the checkpoint's run. Raises what reading recipe, manifests and recordings raises.
    """
    lasting = [source for source in recipe.data.train if source.until >= 1.0]
    data = recipe.data.model_copy(update={"train": lasting or recipe.data.train})
    dataset = load_dataset(
        data.train,
        checkpoint.features,
        Alphabet(checkpoint.labels),
        checkpoint.path.parent.parent / "features",
        max_duration_s=data.max_duration_s,
        progress=progress,
    )
    plan = BatchPlan(dataset.lengths, dataset.source, data, seed=recipe.seed, steps=steps)
    normalisation = Normalisation(checkpoint.mean, checkpoint.deviation)
    cpu = torch.device("cpu")
    loader = BatchLoader(recipe, dataset, plan, normalisation, None, cpu, rank=0)
    # The first epoch is sorted from short to long, for networks that know nothing yet.
    return (loader.load(step) for step in itertools.count() if plan.at(step).epoch > 0)
