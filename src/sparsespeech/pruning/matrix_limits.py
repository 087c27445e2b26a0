"""How far a suggestion may prune each matrix: what is allowed, and what its pattern can hold."""

from __future__ import annotations

from collections.abc import Mapping

from sparsespeech.graph import Graph, Output
from sparsespeech.pruning.allocation import Limits, resolve_limits
from sparsespeech.pruning.structure_settings import Structure
from sparsespeech.pruning.structures import most_sparsity

FIRST_LAYER, FIRST_LAYER_LARGEST = r"^layer1\.", 0.85


def default_largest(graph: Graph) -> dict[str, float]:
    """Largest sparsities by regular expression: less for the first layer, 0 for the output layer.

    The first layer bears less than the others; the output layer is small and decides.
    """
    outputs = [layer.name for layer in graph.layers if isinstance(layer, Output)]
    return {FIRST_LAYER: FIRST_LAYER_LARGEST, **{rf"^{name}\.": 0.0 for name in outputs}}


def matrix_limits(
    shapes: Mapping[str, tuple[int, int]],
    default: Limits,
    largest: Mapping[str, float],
    structures: Mapping[str, Structure],
) -> dict[str, Limits]:
    """Limits of the matrices of ``shapes`` (rows, columns by name): ``default``, or lower ones.

    ``largest`` maps regular expressions over the names to the largest sparsity of what they match,
    the last match counts. Raises SensitivityError for an expression that matches no matrix.
    """
    exceptions = {expression: _at_most(default, most) for expression, most in largest.items()}
    limits = resolve_limits(list(shapes), default, exceptions)
    return {
        name: _at_most(limit, most_sparsity(structures[name], shapes[name][1]))
        for name, limit in limits.items()
    }


def _at_most(limits: Limits, most: float) -> Limits:
    return Limits(min(limits.smallest, most), min(limits.largest, most))
