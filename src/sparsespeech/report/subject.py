"""What a report is about: an integer model file, or a float checkpoint of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech.graph import Layer, Lstm
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import ModelStatistics, model_statistics
from sparsespeech.report.checkpoint_weights import read_checkpoint_weights
from sparsespeech.report.weights import ModelWeights, WeightSource
from sparsespeech.training.run_folder import is_checkpoint, run_folder


@dataclass(frozen=True, eq=False)
class Subject:
    """A network with everything about it that is no weight."""

    name: str
    description: str
    weights: WeightSource
    features: Mapping[str, Any]
    bits: tuple[str, str]  # the figure and its remark
    stored_layers: Mapping[str, int] | None  # bytes in the model file by layer
    bytes_stored: int | None
    facts: Mapping[str, Any]  # what the file says about its making, for a person
    model: IntegerModel | None
    run: Path | None  # the folder of the run, where the subject stands in one


def read_subject(name_or_path: str) -> Subject:
    """A model file, a bundled name, or a run or checkpoint folder.

    Raises ModelFileError or CheckpointError.
    """
    if is_checkpoint(name_or_path):
        return _of_checkpoint(Path(name_or_path))
    found = resolve_model(name_or_path)
    model = read_model(found)
    return model_subject(found, model, model_statistics(model))


def model_subject(path: Path, model: IntegerModel, statistics: ModelStatistics) -> Subject:
    """The subject of the valid ``model`` read from ``path`` and its statistics."""
    facts = {"training": model.training, "quantization": model.quantization}
    name = path.parent.name if path.name == "model.safetensors" else path.stem
    return Subject(
        name=name or path.stem,
        description=f"Integer model file {path.name}: {_network(model.graph.layers)}; "
        f"{len(model.labels)} symbols and the blank",
        weights=ModelWeights(model, statistics),
        features=model.features,
        bits=_bits(model),
        stored_layers={layer.name: layer.bytes_stored for layer in statistics.layers},
        bytes_stored=statistics.bytes_stored,
        facts={key: value for key, value in facts.items() if value is not None},
        model=model,
        run=None,
    )


def _of_checkpoint(path: Path) -> Subject:
    weights = read_checkpoint_weights(path)
    run = run_folder(weights.folder)
    recipe = weights.facts["recipe"]
    name = recipe.get("name") if isinstance(recipe, dict) else None
    return Subject(
        name=str(name or (run or weights.folder.resolve()).name),
        description=f"Checkpoint of step {weights.step:,}: {_network(weights.graph.layers)}; "
        f"averaged weights",
        weights=weights,
        features=weights.features,
        bits=("32 bit", "float weights of a checkpoint"),
        stored_layers=None,
        bytes_stored=None,
        facts=weights.facts,
        model=None,
        run=run if run is not None and (run / "log.jsonl").is_file() else None,
    )


def _bits(model: IntegerModel) -> tuple[str, str]:
    """Bits of weights and activations; those of wide weights are a free fact of the file."""
    if model.activation_bits == 8:
        return "8 bit", "weights and activations"
    weights = (model.quantization or {}).get("weight_bits")
    return f"{model.activation_bits} bit", f"activations; weights {weights or '12 or 16'} bit"


def _network(layers: tuple[Layer, ...]) -> str:
    """As ``6 layers, bidirectional LSTM of 384 cells``."""
    parts = [f"{len(layers)} layers"]
    for layer in layers:
        if isinstance(layer, Lstm):
            way = "bidirectional" if layer.bidirectional else "unidirectional"
            parts.append(f"{way} LSTM of {layer.cells:,} cells")
    return ", ".join(dict.fromkeys(parts))
