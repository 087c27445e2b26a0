"""What a finished checkpoint reaches on its recipe's development set, in float32."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.progress import Progress

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.training.batch_loading import Normalisation
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.dataset import load_dataset
from sparsespeech.training.development import development_figures
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import Recipe


def development_wer(
    checkpoint: Checkpoint, recipe: Recipe, cache: Path, progress: Progress
) -> float:
    """Greedy word error rate in per cent over ``logging.evaluate_utterances`` of the recipe.

    ``cache`` is the folder of features. Raises ManifestError, AudioError or CheckpointError.
    """
    alphabet = Alphabet(checkpoint.labels)
    dataset = load_dataset(
        [recipe.data.development],
        checkpoint.features,
        alphabet,
        cache,
        max_duration_s=recipe.data.max_duration_s,
        progress=progress,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(checkpoint).to(device)
    normalisation = Normalisation(checkpoint.mean, checkpoint.deviation)
    figures = development_figures(
        model, dataset, normalisation, alphabet, recipe.logging.evaluate_utterances, device
    )
    return figures["development_wer"]
