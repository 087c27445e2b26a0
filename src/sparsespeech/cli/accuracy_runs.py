"""How ``bench accuracy`` quantizes checkpoints and lets them recognise a test set.

Integer models and hypotheses are kept in a work folder under the SHA-256 of what they come from,
so the same benchmark again decodes nothing, and a stopped one goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from sparsespeech import __version__
from sparsespeech.benchmarks.accuracy_request import FLOAT, INT8, Recognised, Request
from sparsespeech.benchmarks.hypothesis_cache import HypothesisCache
from sparsespeech.cli.evaluation_batch import DecoderSettings, ExecutorSettings, recognise_all
from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.errors import BenchmarkError
from sparsespeech.evaluation.word_error_rate import count_errors
from sparsespeech.quantization.recipe_defaults import calibration_count, checkpoint_precision
from sparsespeech.training.checkpoint_state import file_digest

if TYPE_CHECKING:
    from sparsespeech.training.checkpoint import Checkpoint

_CALIBRATION_SEED = 0  # as ``sparsespeech quantize`` takes it by default


@dataclass(frozen=True)
class Weights:
    """What tables show of a model's weight matrices."""

    path: Path  # of the checkpoint, or of the integer model
    parameters: int
    nonzeros: int
    sparsity: float
    bytes_stored: int | None
    bytes_coded: int | None = None


class CheckpointRuns:
    """Answers requests of the benchmark for checkpoints of training."""

    def __init__(
        self,
        work: Path,
        executor: ExecutorSettings,
        beam: DecoderSettings,
        *,
        calibration: Path | None,
        limit: int | None,
        jobs: int,
    ) -> None:
        """``beam`` decodes with a language model, its path filled in by the request.

        ``calibration`` replaces the manifest that a checkpoint's recipe was trained on; ``limit``
        takes the first utterances only.
        """
        self._models = work / "models"
        self._cache = HypothesisCache(work / "hypotheses")
        self._executor, self._beam = executor, beam
        self._calibration, self._limit, self._jobs = calibration, limit, jobs
        self._console = Console(stderr=True)
        self._digests: dict[Path, str] = {}
        self._speech: dict[tuple[Path, str | None, int], list[Utterance]] = {}

    def recognise(self, request: Request) -> Recognised:
        """Errors of one model on one test set, decoded at most once.

        Raises BenchmarkError, CheckpointError, ManifestError, ConversionError, AudioError and
        the errors of the executor and the language model.
        """
        from sparsespeech.training.checkpoint import load_checkpoint
        from sparsespeech.training.checkpoint_digest import checkpoint_digest

        checkpoint = load_checkpoint(request.run.checkpoint)
        digest = checkpoint_digest(checkpoint)
        if request.arithmetic == INT8:
            weights = self._integer_model(checkpoint, digest, request.run.label, request.coded)
        else:
            weights = _float_weights(checkpoint)
        utterances = read_manifest(request.test.manifest, split=request.test.split)[: self._limit]
        key = {
            "checkpoint": digest,
            "model": self._digest(weights.path) if request.arithmetic == INT8 else FLOAT,
            "manifest": self._digest(request.test.manifest),
            "split": request.test.split,
            "utterances": len(utterances),
            "recordings": self._recordings_digest(utterances),
            "version": __version__,
            "decoder": self._describe_decoder(request),
        }
        texts = self._cache.find(key)
        kept = texts is not None
        if texts is None:
            texts = self._decode(request, weights.path, utterances)
            self._cache.keep(key, texts)
        return Recognised(
            tuple(
                count_errors(utterance.text, text)
                for utterance, text in zip(utterances, texts, strict=True)
            ),
            tuple(utterance.speaker for utterance in utterances),
            digest,
            weights.parameters,
            weights.nonzeros,
            weights.sparsity,
            weights.bytes_stored,
            kept,
            weights.bytes_coded,
        )

    def _decode(self, request: Request, model: Path, utterances: list[Utterance]) -> list[str]:
        settings = DecoderSettings("greedy", 1, None, 0.0, 0.0)
        if request.with_lm:
            beam = self._beam
            settings = DecoderSettings(
                "beam", beam.beam_width, request.test.lm, beam.alpha, beam.beta
            )
        recordings = [utterance.audio_filepath for utterance in utterances]
        found = recognise_all(str(model), self._executor, settings, recordings, self._jobs)
        decoder = ", language model" if request.with_lm else ""
        what = f"{request.test.manifest.stem}: {request.run.label}, {request.arithmetic}{decoder}"
        return list(self._track((recognition.text for recognition in found), what, len(recordings)))

    def _integer_model(
        self, checkpoint: Checkpoint, digest: str, label: str, coded: bool
    ) -> Weights:
        """The int8 model of ``checkpoint``, calibrated as its recipe says; made at most once."""
        from sparsespeech.model_file.reader import read_model
        from sparsespeech.model_file.statistics import model_statistics
        from sparsespeech.model_file.writer import encode_model, write_model
        from sparsespeech.quantization.calibrate import trained_calibration

        settings = _quantization_settings(checkpoint)
        speech: list[Utterance] = []
        calibration: list[str | None] | None = None
        if trained_calibration(checkpoint) is None:
            manifest, split = calibration_set(checkpoint, self._calibration)
            speech = self._calibration_speech(manifest, split, settings["calibration_utterances"])
            calibration = [self._digest(manifest), split, self._recordings_digest(speech)]
        key = {
            "checkpoint": digest,
            "calibration": calibration,
            "settings": settings,
            "version": __version__,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        path = self._models / f"{name}.safetensors"
        if not path.is_file():
            model = self._quantize(checkpoint, speech, settings["per_row"], label)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_model(model, path)
        stored = read_model(path)
        statistics = model_statistics(stored)
        return Weights(
            path,
            statistics.parameters,
            statistics.nonzeros,
            statistics.sparsity,
            path.stat().st_size,
            len(encode_model(replace(stored, encoding="huffman"))) if coded else None,
        )

    def _quantize(
        self,
        checkpoint: Checkpoint,
        speech: list[Utterance],
        per_row: bool,
        label: str,
    ) -> Any:
        from sparsespeech.quantization.calibrate import frames_of_utterance
        from sparsespeech.quantization.convert import convert
        from sparsespeech.quantization.post_training import activation_ranges
        from sparsespeech.quantization.precision import Precision
        from sparsespeech.training.float_recogniser import build_model

        precision = Precision(per_row=per_row)
        frames = (frames_of_utterance(utterance, checkpoint) for utterance in speech)
        tracked = self._track(frames, f"calibrating {label}", len(speech))
        calibration = activation_ranges(checkpoint, build_model(checkpoint), tracked, precision)
        return convert(checkpoint, calibration, precision).model

    def _calibration_speech(self, manifest: Path, split: str | None, count: int) -> list[Utterance]:
        """``count`` utterances, chosen once: the manifest of a large corpus takes seconds."""
        from sparsespeech.quantization.calibrate import choose_utterances

        place = manifest, split, count
        if place not in self._speech:
            utterances = read_manifest(manifest, split=split)
            self._speech[place] = choose_utterances(utterances, count, _CALIBRATION_SEED)
        return self._speech[place]

    def _recordings_digest(self, utterances: list[Utterance]) -> str:
        """SHA-256 of the digests of all recordings, in order: a manifest holds only names."""
        digests = [self._digest(utterance.audio_filepath) for utterance in utterances]
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()

    def _describe_decoder(self, request: Request) -> dict[str, Any]:
        if not request.with_lm or request.test.lm is None:
            return {"decoder": "greedy"}
        return {
            "decoder": "beam",
            "beam": self._beam.beam_width,
            "alpha": self._beam.alpha,
            "beta": self._beam.beta,
            "lm": self._digest(request.test.lm),
        }

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def _track(self, items: Iterator[Any], what: str, count: int) -> Iterator[Any]:
        """The same items, with a bar on stderr if that is a terminal, else one line."""
        if not self._console.is_terminal:
            self._console.print(f"{what} ...", markup=False, highlight=False)
            yield from items
            return
        with Progress(console=self._console, transient=True) as bar:
            task = bar.add_task(what, total=count)
            for item in items:
                yield item
                bar.advance(task)


def calibration_set(checkpoint: Checkpoint, chosen: Path | None) -> tuple[Path, str | None]:
    """Manifest and split to calibrate on: ``chosen``, or the first one the recipe trains on.

    Raises BenchmarkError for a recipe that names none, RecipeError for an unset variable.
    """
    from sparsespeech.training.recipe import expand_path

    if chosen is not None:
        return chosen, None
    try:
        source = checkpoint.facts["recipe"]["data"]["train"][0]
        return expand_path(str(source["manifest"])), source.get("split")
    except (KeyError, TypeError, IndexError):
        raise BenchmarkError(
            f"{checkpoint.path}: its recipe names no training manifest to calibrate on; "
            f"give calibration in the plan"
        ) from None


def _quantization_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """As ``sparsespeech quantize`` takes them from the recipe; int8 whatever was retrained."""
    return {
        "calibration_utterances": calibration_count(checkpoint, None),
        "per_row": checkpoint_precision(checkpoint, 8, 8, None).per_row,
    }


def _float_weights(checkpoint: Checkpoint) -> Weights:
    from sparsespeech.training.weight_matrices import count_weights

    entries, nonzeros = count_weights(checkpoint)
    parameters = sum(tensor.numel() for tensor in checkpoint.weights.values())
    return Weights(checkpoint.path, parameters, nonzeros, 1.0 - nonzeros / entries, None)
