"""One utterance of a corpus of tones that is NaN in every batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparsespeech.training.batch_loading import BatchLoader, SpeechBatch


def make_sick(number: int, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a frame of utterance ``number`` be NaN wherever it is loaded; its recording."""
    original = BatchLoader.load

    def load(self: BatchLoader, step: int) -> SpeechBatch:
        batch = original(self, step)
        batch.frames[torch.from_numpy(batch.numbers == number), 2] = torch.nan
        return batch

    monkeypatch.setattr(BatchLoader, "load", load)
    return str(manifest.parent / f"{number:04d}.wav")
