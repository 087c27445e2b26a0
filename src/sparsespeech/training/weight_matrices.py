"""The weight matrices of a checkpoint: what pruning works on and sparsity counts."""

from __future__ import annotations

from torch import Tensor

from sparsespeech.training.checkpoint import Checkpoint


def weight_matrices(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Averaged weights [R, C] by parameter name; biases and peepholes are no matrices."""
    return {
        name: tensor
        for name, tensor in checkpoint.weights.items()
        if tensor.ndim == 2 and not name.endswith(".peephole")
    }


def matrix_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """Rows and columns of the weight matrices by parameter name."""
    return {
        name: (weight.shape[0], weight.shape[1])
        for name, weight in weight_matrices(checkpoint).items()
    }


def count_weights(checkpoint: Checkpoint) -> tuple[int, int]:
    """Entries and nonzeros of all weight matrices together."""
    matrices = weight_matrices(checkpoint).values()
    nonzeros = sum(int(matrix.count_nonzero()) for matrix in matrices)
    return sum(matrix.numel() for matrix in matrices), nonzeros
