"""Everything that a report shows of each weight matrix, made while only one is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparsespeech.report.checkpoint_weights import CheckpointWeights
from sparsespeech.report.heat_maps import heat_map, input_map
from sparsespeech.report.html import Markup
from sparsespeech.report.occupancy import Occupancy, occupancy, occupancy_picture
from sparsespeech.report.sparsity_tables import MatrixSummary, summarise
from sparsespeech.report.subject import Subject
from sparsespeech.report.weight_histograms import compared_histograms, stored_histogram
from sparsespeech.report.weights import WeightMatrix

Stage = tuple[str, CheckpointWeights]  # title, as "before pruning", and the weights of then


@dataclass(frozen=True, eq=False)
class MatrixView:
    """Figures and pictures of one matrix."""

    summary: MatrixSummary
    occupancy: Occupancy
    histograms: tuple[Markup, ...]
    heat_maps: tuple[Markup, ...]
    bank_picture: Markup


def view_matrices(subject: Subject, stages: Sequence[Stage]) -> Iterator[MatrixView]:
    """The views in graph order; ``stages`` hold the same network earlier, earliest first."""
    sources = [weights.matrices() for _, weights in stages]
    titles = [title for title, _ in stages]
    for place, matrix in enumerate(subject.weights.matrices()):
        earlier = list(zip(titles, map(next, sources), strict=True))
        banks = occupancy(matrix)
        maps = [heat_map(matrix)]
        coefficients = _coefficients(subject, matrix) if place == 0 else None
        if coefficients is not None:
            maps.append(input_map(matrix, coefficients))
        yield MatrixView(
            summarise(matrix),
            banks,
            tuple(_histograms(matrix, earlier)),
            tuple(maps),
            occupancy_picture(banks),
        )


def _histograms(
    matrix: WeightMatrix, earlier: Sequence[tuple[str, WeightMatrix]]
) -> Iterator[Markup]:
    """Integers with a scale a row have no real unit, so they cannot stand below floats."""
    if earlier and matrix.scale is not None:
        yield compared_histograms([*earlier, ("after retraining", matrix)])
        return
    if earlier:
        yield compared_histograms(earlier)
    yield stored_histogram(matrix)


def _coefficients(subject: Subject, matrix: WeightMatrix) -> int | None:
    """Coefficients of a frame, if the columns of ``matrix`` are windows of whole frames."""
    coefficients, context = (subject.features.get(key) for key in ("coefficients", "context"))
    if not isinstance(coefficients, int) or not isinstance(context, int):
        return None
    return coefficients if coefficients * (2 * context + 1) == matrix.shape[1] else None
