"""Which run folder a checkpoint belongs to: where commands keep what they add to a run."""

from __future__ import annotations

from pathlib import Path

from sparsespeech.training.checkpoint_state import CHECKPOINTS


def run_folder(checkpoint: Path) -> Path | None:
    """The run that holds the folder ``checkpoint``; None for one that stands alone, as exported."""
    folder = checkpoint.parent
    return folder.parent if folder.name == CHECKPOINTS else None
