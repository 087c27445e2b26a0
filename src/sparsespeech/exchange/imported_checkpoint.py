"""An imported network as a checkpoint that every later command reads.

It is step 0 of a run that has not trained yet: no optimizer state, and the averaged weights are
the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.torch_import import ImportedNetwork
from sparsespeech.training.checkpoint import Checkpoint, list_checkpoints, save_checkpoint
from sparsespeech.training.initial_graph import changed_features
from sparsespeech.training.recipe import parse_recipe

STEPS = 2000  # of the recipe that stands for the foreign training; 'prune' takes half of it


@dataclass(frozen=True)
class Speech:
    """Manifests to train on and to watch the training with."""

    train: Path
    development: Path


def save_imported_network(
    network: ImportedNetwork, run: Path, speech: Speech | None = None
) -> Path:
    """Write ``run/checkpoints/step-00000000`` and return that folder.

    With ``speech`` the checkpoint holds a recipe, so that 'prune' can train it further. Raises
    ExchangeError for a graph that training does not know, for labels that it does not know with
    ``speech``, and for a run folder that holds checkpoints already; CheckpointError where the
    disk is full or read-only.
    """
    recipe = prove_saveable(network, run, speech)
    weights = {
        f"{kind}.{name}": tensor.clone()
        for kind in ("weights", "average")
        for name, tensor in network.weights.items()
    }
    with network.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    state = {
        "recipe": recipe,
        "graph": network.graph.to_json(),
        "features": network.features.to_json(),
        "mean": network.mean.tolist(),
        "deviation": network.deviation.tolist(),
        "labels": list(network.labels),
        "progress": {
            "workers": 1,
            "sparsity": sparsity_of(network.weights),
            "imported": {
                "file": network.path.name,
                "sha256": digest,
                "layers": network.sources,
            },
        },
    }
    return save_checkpoint(run, 0, weights, {}, state, keep=1)


def sparsity_of(weights: Mapping[str, Tensor]) -> float:
    """Share of zeros in the matrices among ``weights``."""
    matrices = [tensor for tensor in weights.values() if tensor.ndim == 2]
    zeros = sum(int((matrix == 0).sum()) for matrix in matrices)
    return zeros / sum(matrix.numel() for matrix in matrices)


def prove_saveable(
    network: ImportedNetwork, run: Path, speech: Speech | None = None
) -> dict[str, Any]:
    """The recipe that :func:`save_imported_network` will store; raises its ExchangeError."""
    if list_checkpoints(run):
        raise ExchangeError(
            f"{run}: holds checkpoints already; name another --output, or remove that folder"
        )
    prove_trainable(network)
    return {"name": network.path.stem} if speech is None else _recipe(network, run, speech)


def unsaved_checkpoint(network: ImportedNetwork) -> Checkpoint:
    """The checkpoint that :func:`save_imported_network` would write, to run before it is."""
    return Checkpoint(
        network.path,
        0,
        network.graph,
        network.features,
        network.mean,
        network.deviation,
        network.labels,
        network.weights,
        facts={},
    )


def _recipe(network: ImportedNetwork, run: Path, speech: Speech) -> dict[str, Any]:
    """Plain values of a recipe that trains the imported network on ``speech``."""
    if any(len(label) > 1 for label in network.labels):
        raise ExchangeError(
            f"{network.path}: labels {list(network.labels)} cannot be trained on, training knows "
            f"symbols of one character only; import without --train and --development"
        )
    values = {
        "name": network.path.stem,
        "data": {
            "train": [{"manifest": str(speech.train.resolve())}],
            "development": {"manifest": str(speech.development.resolve())},
            "symbols": "".join(network.labels),
        },
        "model": {
            "architecture": "initial",
            "initial": str(run.resolve()),
            "features": changed_features(network.features),
        },
        "optimizer": {"steps": STEPS},
    }
    return parse_recipe(values, str(network.path)).model_dump(mode="json")


def prove_trainable(network: ImportedNetwork) -> DeepSpeech:
    """The network in torch with the imported weights; raises ExchangeError if training cannot."""
    try:
        model = DeepSpeech(
            network.graph,
            context=network.features.context,
            coefficients=network.features.coefficients,
        )
        model.load_state_dict(network.weights)
    except (ValueError, RuntimeError) as error:
        raise ExchangeError(f"{network.path}: {' '.join(str(error).split())}") from None
    return model.eval()
