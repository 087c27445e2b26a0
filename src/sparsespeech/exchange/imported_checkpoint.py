"""An imported network as a checkpoint that every later command reads.

It is step 0 of a run that has not trained yet: no optimizer state, and the averaged weights are
the weights.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.torch_import import ImportedNetwork
from sparsespeech.training.checkpoint import list_checkpoints, save_checkpoint


def save_imported_network(network: ImportedNetwork, run: Path) -> Path:
    """Write ``run/checkpoints/step-00000000`` and return that folder.

    Raises ExchangeError for a graph that training does not know or a run folder that holds
    checkpoints already, CheckpointError where the disk is full or read-only.
    """
    if list_checkpoints(run):
        raise ExchangeError(
            f"{run}: holds checkpoints already; name another --output, or remove that folder"
        )
    prove_trainable(network)
    weights = {
        f"{kind}.{name}": tensor.clone()
        for kind in ("weights", "average")
        for name, tensor in network.weights.items()
    }
    matrices = [tensor for tensor in network.weights.values() if tensor.ndim == 2]
    zeros = sum(int((matrix == 0).sum()) for matrix in matrices)
    with network.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    state = {
        "recipe": {"name": network.path.stem},
        "graph": network.graph.to_json(),
        "features": network.features.to_json(),
        "mean": network.mean.tolist(),
        "deviation": network.deviation.tolist(),
        "labels": list(network.labels),
        "progress": {
            "workers": 1,
            "sparsity": zeros / sum(matrix.numel() for matrix in matrices),
            "imported": {
                "file": network.path.name,
                "sha256": digest,
                "layers": network.sources,
            },
        },
    }
    return save_checkpoint(run, 0, weights, {}, state, keep=1)


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
