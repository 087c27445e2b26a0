"""Shared weights in a float checkpoint: cluster each matrix, retrain if wanted, write a run folder.

Axes: n nonzeros of one matrix, K values of its codebook.

The result is a checkpoint like any other. Quantizing it with one scale a matrix gives a model file
whose matrices hold at most K different integers (rule R1 maps equal weights to equal integers).
With one scale a row it would not: equal weights of two rows become different integers.

A checkpoint of fixed-point retraining keeps its ranges, and its shared values are retrained with
the roundings of those ranges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import Progress
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.errors import CheckpointError
from sparsespeech.quantization.codebook import Codebook, Initialisation, build_codebook
from sparsespeech.quantization.codebook_retraining import (
    CodebookRetraining,
    RetrainingCourse,
    retrain,
    retraining_speech,
)
from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.quantization.shared_matrix import SharedMatrix
from sparsespeech.quantization.shared_weights import SharedWeights
from sparsespeech.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    read_state,
    save_checkpoint,
)
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import Recipe, parse_recipe

_REPORTED_LOSSES = 20  # first and last steps whose mean loss is reported
_OWN_KEYS = ("format_version", "step", "sha256")  # of state.json, written anew


@dataclass(frozen=True, eq=False)
class SharedCheckpoint:
    """The checkpoint written, and figures."""

    path: Path
    matrices: tuple[SharedMatrix, ...]
    losses: tuple[float, float] | None  # nats a character over the first and the last steps
    incidents: tuple[dict[str, Any], ...] = ()  # what a log of training would say of bad steps


def default_learning_rate(checkpoint: Checkpoint) -> float:
    """The peak rate of the checkpoint's recipe; a tenth of it did next to nothing in 100 steps."""
    recipe = parse_recipe(checkpoint.facts["recipe"], str(checkpoint.path))
    return recipe.optimizer.learning_rate


def share_checkpoint(
    checkpoint: Checkpoint,
    output: Path,
    size: int,
    *,
    initialisation: Initialisation,
    retraining: CodebookRetraining | None,
    features: Path,
    progress: Progress,
) -> SharedCheckpoint:
    """Write a run folder ``output`` whose weight matrices hold at most ``size`` values each.

    The folder ``features`` keeps the features of the speech of ``retraining``.
    Raises CheckpointError where ``output`` holds a run already or cannot be written, or where
    ``checkpoint`` was retrained with one scale a row, and what reading the recipe's speech and
    :func:`retrain` raise.
    """
    _refuse_row_scales(checkpoint)
    if list_checkpoints(output):
        raise CheckpointError(f"{output}: holds checkpoints already; give another --output")
    own = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    model = build_model(replace(checkpoint, weights=own))  # the model trains in place
    names = [name for name in prunable_names(model) if bool(checkpoint.weights[name].any())]
    codebooks = {
        name: _codebook(checkpoint.weights[name], size, initialisation)
        for name in progress.track(names, description="codebooks")
    }
    course = RetrainingCourse([], {})
    if retraining is not None:
        recipe = parse_recipe(checkpoint.facts["recipe"], str(checkpoint.path))
        speech = retraining_speech(checkpoint, recipe, retraining.steps, features, progress)
        network = _network(model, checkpoint, recipe)
        course = retrain(model, codebooks, speech, recipe, retraining, progress, network=network)
    else:
        SharedWeights(dict(model.named_parameters()), codebooks)  # writes the nearest values
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    facts: dict[str, Any] = {"values": size, "initialisation": initialisation}
    if retraining is not None:
        skipped = retraining.steps - len(course.losses)
        facts["retraining"] = {**asdict(retraining), "skipped": skipped}
    path = _save(checkpoint, output, weights, facts, retraining.steps if retraining else 0)
    matrices = tuple(
        SharedMatrix.of(name, checkpoint.weights[name].numpy(), weights[name].numpy())
        for name in names
    )
    incidents = ({"step": step, **bad.record} for step, bad in course.incidents.items())
    return SharedCheckpoint(path, matrices, _ends(course.losses), tuple(incidents))


def _refuse_row_scales(checkpoint: Checkpoint) -> None:
    trained = checkpoint.facts["recipe"].get("fixed_point") or {}
    if checkpoint.fixed_point and trained.get("per_row"):
        raise CheckpointError(
            f"{checkpoint.path}: was retrained with one scale a row (fixed_point.per_row), where "
            "shared weights of two rows are not equal; 'sparsespeech quantize' it and share the "
            "integers of the model file by 'sparsespeech compress MODEL --codebook'"
        )


def _network(
    model: DeepSpeech, checkpoint: Checkpoint, recipe: Recipe
) -> Callable[[Tensor, Tensor], Tensor]:
    """``model``, with the roundings and ranges of fixed-point retraining if it has had that."""
    if not checkpoint.fixed_point:
        return model
    rounded = FixedPointRetraining(model, recipe.fixed_point or FixedPoint())
    try:
        rounded.load(checkpoint.fixed_point)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint.path}: ranges of fixed-point retraining do not fit the graph: {error}"
        ) from None
    rounded.freeze()
    return rounded.forward


def _codebook(weights: Tensor, size: int, initialisation: Initialisation) -> Codebook:
    values = weights.double().numpy()
    return build_codebook(values[values != 0], size, initialisation)


def _save(
    source: Checkpoint, output: Path, weights: dict[str, Tensor], facts: dict[str, Any], steps: int
) -> Path:
    """Weights and average are the same; the optimizer's moments are those of no training."""
    state = {key: value for key, value in read_state(source.path).items() if key not in _OWN_KEYS}
    state["progress"] = {**state["progress"], "codebook": facts}
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    # Copies: the file format refuses two names for one memory.
    tensors |= {f"average.{name}": tensor.clone() for name, tensor in weights.items()}
    tensors |= {f"fixed_point.{name}": tensor for name, tensor in source.fixed_point.items()}
    return save_checkpoint(output, source.step + steps, tensors, {}, state, keep=1)


def _ends(losses: list[float]) -> tuple[float, float] | None:
    if not losses:
        return None
    first, last = losses[:_REPORTED_LOSSES], losses[-_REPORTED_LOSSES:]
    return sum(first) / len(first), sum(last) / len(last)
