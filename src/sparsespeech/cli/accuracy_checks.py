"""Everything that ``bench accuracy`` will need, read before anything is measured.

A plan of five seeds takes an hour: a checkpoint that is not there must not end it at the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sparsespeech.benchmarks.accuracy_plan import AccuracyPlan, CorpusPlan, TestSet
from sparsespeech.cli.accuracy_runs import calibration_set
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.errors import BenchmarkError, SparseSpeechError
from sparsespeech.evaluation.bootstrap import check_speakers
from sparsespeech.quantization.recipe_defaults import checkpoint_precision

Labels = tuple[str, ...]


def check_plan(plan: AccuracyPlan, *, by_speaker: bool = False, limit: int | None = None) -> None:
    """Read all manifests, checkpoints and language models of ``plan``.

    With ``by_speaker`` the first ``limit`` utterances of each test set must have speakers to draw.
    Raises BenchmarkError naming the first bad one: its place in the plan, its file and what is
    wrong with it. A pair whose sparse checkpoint has not more zeros than the dense one is wrong.
    """
    checker = _Checker(plan.calibration)
    for where, test in _test_sets(plan):
        place = f"{where}.manifest"
        checker.check_manifest(place, test.manifest, test.split)
        if by_speaker:
            checker.check_speakers(place, test, limit)
    if plan.calibration is not None:
        checker.check_manifest("calibration", plan.calibration, None)
    for where, checkpoint, quantized in _checkpoints(plan):
        checker.check_checkpoint(where, checkpoint, quantized=quantized)
    for corpus in plan.corpora:
        checker.check_pairs(corpus)
        checker.check_language_model(corpus)


class _Checker:
    """Reads every file once and remembers what later checks need of it."""

    def __init__(self, calibration: Path | None) -> None:
        self._calibration = calibration
        self._speakers: dict[tuple[Path, str | None], list[str]] = {}  # of each utterance
        self._labels: dict[Path, Labels] = {}
        self._sparsity: dict[Path, float] = {}

    def check_manifest(self, where: str, manifest: Path, split: str | None) -> None:
        if (manifest, split) not in self._speakers:
            try:
                utterances = read_manifest(manifest, split=split)
            except SparseSpeechError as error:
                raise BenchmarkError(f"{where}: {error}") from None
            self._speakers[manifest, split] = [utterance.speaker for utterance in utterances]

    def check_speakers(self, where: str, test: TestSet, limit: int | None) -> None:
        try:
            check_speakers(self._speakers[test.manifest, test.split][:limit], test.manifest)
        except SparseSpeechError as error:
            raise BenchmarkError(f"{where}: {error}") from None

    def check_checkpoint(self, where: str, path: Path, *, quantized: bool) -> None:
        """Weights fit the graph; for an int8 model there is speech, and no sharing to undo."""
        from sparsespeech.quantization.calibrate import trained_calibration
        from sparsespeech.quantization.post_training import refuse_row_scales_of_shared_weights
        from sparsespeech.training.checkpoint import load_checkpoint
        from sparsespeech.training.float_recogniser import build_model
        from sparsespeech.training.weight_matrices import count_weights

        if path in self._labels:
            return
        try:
            checkpoint = load_checkpoint(path)
            build_model(checkpoint)
            if quantized:
                precision = checkpoint_precision(checkpoint, 8, 8, None)
                refuse_row_scales_of_shared_weights(checkpoint, precision)
            if trained_calibration(checkpoint) is None:
                manifest, split = calibration_set(checkpoint, self._calibration)
                self.check_manifest(f"{path}: the recipe's training speech", manifest, split)
        except SparseSpeechError as error:
            raise BenchmarkError(f"{where}: {error}") from None
        entries, nonzeros = count_weights(checkpoint)
        self._labels[path] = checkpoint.labels
        self._sparsity[path] = 1.0 - nonzeros / entries

    def check_pairs(self, corpus: CorpusPlan) -> None:
        for number, pair in enumerate(corpus.pairs):
            dense, sparse = self._sparsity[pair.dense], self._sparsity[pair.sparse]
            if sparse <= dense:
                raise BenchmarkError(
                    f"corpora.{corpus.name}.pairs[{number}]: {pair.sparse} is {sparse:.1%} sparse "
                    f"and {pair.dense}, the dense one, {dense:.1%}; exchange them"
                )

    def check_language_model(self, corpus: CorpusPlan) -> None:
        """The words can be written with the labels of every checkpoint of the corpus."""
        lm = corpus.test.lm
        if lm is None:
            return
        paths = [path for pair in corpus.pairs for path in (pair.dense, pair.sparse)]
        paths += [run.checkpoint for run in corpus.single]
        for labels in dict.fromkeys(self._labels[path] for path in paths):
            try:
                LanguageModel.read_for(lm, Alphabet(labels))
            except (SparseSpeechError, OSError) as error:
                raise BenchmarkError(f"corpora.{corpus.name}.lm: {error}") from None


def _test_sets(plan: AccuracyPlan) -> Iterator[tuple[str, TestSet]]:
    for corpus in plan.corpora:
        yield f"corpora.{corpus.name}", corpus.test
    if plan.equal_nonzeros is not None:
        yield "equal_nonzeros", plan.equal_nonzeros.test
    if plan.tried is not None:
        yield "tried", plan.tried.test


def _checkpoints(plan: AccuracyPlan) -> Iterable[tuple[str, Path, bool]]:
    """Place in the plan and path of every checkpoint, and whether it is quantized."""
    for corpus in plan.corpora:
        where = f"corpora.{corpus.name}"
        for number, pair in enumerate(corpus.pairs):
            yield f"{where}.pairs[{number}].dense", pair.dense, True
            yield f"{where}.pairs[{number}].sparse", pair.sparse, True
        for run in corpus.single:
            yield f"{where}.single.{run.label}", run.checkpoint, True
    if plan.equal_nonzeros is not None:
        for family, runs in plan.equal_nonzeros.runs.items():
            for number, run in enumerate(runs):
                yield f"equal_nonzeros.{family}[{number}]", run.checkpoint, True
    if plan.tried is not None:
        for number, run in enumerate(plan.tried.runs):
            yield f"tried.runs[{number}]", run.checkpoint, False
