"""Which checkpoint is it? A digest of what recognition depends on, however it is stored."""

from __future__ import annotations

import hashlib
import json

from sparsespeech.training.checkpoint import Checkpoint


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """SHA-256 over graph, features, normalisation, labels, averaged weights and trained ranges.

    The path, the recipe and the training state do not enter: a copy is the same checkpoint.
    """
    facts = {
        "graph": checkpoint.graph.to_json(),
        "features": checkpoint.features.to_json(),
        "mean": checkpoint.mean.tolist(),
        "deviation": checkpoint.deviation.tolist(),
        "labels": list(checkpoint.labels),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    ranges = {f"fixed_point.{name}": tensor for name, tensor in checkpoint.fixed_point.items()}
    for name, tensor in sorted({**checkpoint.weights, **ranges}.items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
