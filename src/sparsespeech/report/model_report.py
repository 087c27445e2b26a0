"""The report of ``sparsespeech inspect --html``: one page about one network.

``build_report`` lists the sections in the order in which a person reads them. Every section
stands alone: the report of a lone model file has fewer of them than one that also knows the run,
the checkpoints before and after pruning, and measured error rates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsespeech.errors import ReportError, SparseSpeechError
from sparsespeech.graph import network_difference
from sparsespeech.model_file.ladder import byte_ladder
from sparsespeech.report.activations import activation_table
from sparsespeech.report.byte_ladder import ladder_section
from sparsespeech.report.checkpoint_weights import matrix_names, read_checkpoint_weights
from sparsespeech.report.html import (
    Section,
    element,
    folded,
    gallery,
    joined,
    page,
    paragraph,
    table,
)
from sparsespeech.report.loss_curves import loss_curves
from sparsespeech.report.matrix_views import MatrixView, Stage, view_matrices
from sparsespeech.report.occupancy import HEADINGS, occupancy_row, occupancy_total
from sparsespeech.report.opening import findings, headline
from sparsespeech.report.run_course import read_course
from sparsespeech.report.sparsity_curve import (
    course_curve,
    course_points,
    read_points,
    sparsity_curve,
)
from sparsespeech.report.sparsity_tables import (
    MatrixSummary,
    layer_table,
    matrix_table,
    scale_table,
)
from sparsespeech.report.subject import Subject, read_subject


@dataclass(frozen=True)
class ReportSources:
    """What else a report may look at: a run folder, checkpoints, a JSON file of points."""

    run: Path | None = None
    dense: Path | None = None
    pruned: Path | None = None
    sweep: Path | None = None


def build_report(
    name_or_path: str,
    sources: ReportSources = ReportSources(),
    advance: Callable[[str, int], None] = lambda matrix, total: None,
) -> str:
    """The page about a model file, a bundled model, a run or a checkpoint, as HTML.

    ``advance`` hears the name of each matrix that is done, and how many there are. Raises
    ModelFileError, CheckpointError, ReportError for a file that does not fit, and
    MissingDependencyError without matplotlib.
    """
    subject = read_subject(name_or_path)
    stages = _stages(subject, sources)
    course = _course_sections(subject, sources)  # reads its files before the long work starts
    count = len(list(matrix_names(subject.weights.graph)))
    views = []
    for view in view_matrices(subject, stages):
        views.append(view)
        advance(view.summary.name, count)
    sections = [
        _sparsity_section(subject, views),
        *_ladder_sections(subject),
        _histogram_section(views, stages),
        _heat_map_section(views),
        _bank_section(views),
        _scale_section(subject, [view.summary for view in views]),
        *course,
        *_fact_sections(subject),
    ]
    opening = joined(headline(subject, views), findings(views))
    return page(subject.name, subject.description, opening, sections)


def _stages(subject: Subject, sources: ReportSources) -> list[Stage]:
    """The earlier checkpoints, each proved to be of the same network."""
    stages = []
    for title, path in (("before pruning", sources.dense), ("after pruning", sources.pruned)):
        if path is None:
            continue
        weights = read_checkpoint_weights(path)
        difference = network_difference(weights.graph, subject.weights.graph)
        if difference:
            raise ReportError(
                f"{weights.folder}: holds another network than {subject.name}: {difference}; "
                f"give a checkpoint that the model came from"
            )
        stages.append((title, weights))
    return stages


def _sparsity_section(subject: Subject, views: Sequence[MatrixView]) -> Section:
    summaries = [view.summary for view in views]
    content = joined(
        layer_table(subject.weights.graph, summaries, subject.stored_layers),
        paragraph(
            "Parameters count the dense network with its biases; sparsity is over the weight "
            "matrices. Gates of an LSTM: input i, forget f, cell g, output o."
        ),
        matrix_table(summaries),
    )
    return Section("sparsity", "Sparsity by layer and gate", content)


def _ladder_sections(subject: Subject) -> Iterator[Section]:
    if subject.model is not None:
        yield Section("bytes", "Bytes", ladder_section(byte_ladder(subject.model)))


def _histogram_section(views: Sequence[MatrixView], stages: Sequence[Stage]) -> Section:
    text = (
        "Pruning cuts the small weights out of the middle of the bell; retraining moves the "
        "remaining ones. Each panel shows the nonzero weights only, with an area of 1."
        if stages
        else "The nonzero weights of each matrix. The gap in the middle is what pruning removed."
    )
    pictures = [picture for view in views for picture in view.histograms]
    return Section("weights", "Weight distributions", joined(paragraph(text), gallery(pictures)))


def _heat_map_section(views: Sequence[MatrixView]) -> Section:
    text = (
        "Where the remaining weights lie. Dark blocks are almost empty; stripes are inputs or "
        "outputs that pruning kept or gave up. Each matrix has its own colours."
    )
    pictures = [picture for view in views for picture in view.heat_maps]
    return Section("heat-maps", "Heat maps of nonzeros", joined(paragraph(text), gallery(pictures)))


def _bank_section(views: Sequence[MatrixView]) -> Section:
    text = (
        "An accelerator core of the MAU paper holds 1,024 columns of a matrix, a bank, and takes "
        "64 weights of a row in a cycle: 1 in 16. A row with more needs further cycles. Matrices "
        "of fewer columns are measured against 1 in 16 of their width."
    )
    legend = (
        "Cycles: of one core with four rows side by side, if no row were over the limit. Extra: "
        "what the rows over the limit add, each alone or four rows waiting for each other. "
        "Multipliers busy: nonzeros by the multiplications that fit in the cycles of rows alone."
    )
    found = [view.occupancy for view in views]
    content = joined(
        paragraph(text),
        table(HEADINGS, map(occupancy_row, found), total=occupancy_total(found)),
        paragraph(legend),
        gallery(view.bank_picture for view in views),
    )
    return Section("banks", "Load of row banks", content)


def _scale_section(subject: Subject, summaries: Sequence[MatrixSummary]) -> Section:
    parts = [scale_table(summaries)]
    if subject.model is not None:
        text = (
            "Values between the layers: a stored value q means scale × (q - zero point). The file "
            "holds no scales of these values; they follow from its multipliers."
        )
        scales = {summary.name: summary.scale for summary in summaries}
        parts += [paragraph(text), activation_table(subject.model, scales)]
    return Section("scales", "Scales and ranges", joined(*parts))


def _course_sections(subject: Subject, sources: ReportSources) -> list[Section]:
    """The sections about training and error rates, from the run's log and the file of points."""
    sections, curves = [], []
    run = sources.run or subject.run
    if run is not None:
        course = read_course(run)
        pictures = loss_curves(course, run.resolve().name)
        sections.append(Section("training", "Training", pictures))
        path = course_points(course)
        if path:
            curves.append(course_curve(path))
    if sources.sweep is not None:
        curves.insert(0, sparsity_curve(read_points(sources.sweep, _sparsity_of)))
    if curves:
        content = joined(*curves)
        sections.append(Section("error-rate", "Sparsity against word error rate", content))
    return sections


def _sparsity_of(model: str) -> float | None:
    """Sparsity of a model that a file of points names; None where it is not to be found."""
    try:
        matrices = list(read_subject(model).weights.matrices())
    except SparseSpeechError:
        return None
    return 1.0 - sum(m.nonzeros for m in matrices) / sum(m.entries for m in matrices)


def _fact_sections(subject: Subject) -> Iterator[Section]:
    parts = [
        folded(name, element("pre", json.dumps(facts, indent=1, ensure_ascii=False)))
        for name, facts in subject.facts.items()
    ]
    if parts:
        text = "What the file says about its making; nothing of it is needed to run the model."
        yield Section("facts", "Facts in the file", joined(paragraph(text), *parts))
