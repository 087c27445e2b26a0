"""``log.jsonl`` of a run, read without torch: an object a line, as ``run_log.py`` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sparsespeech.errors import CheckpointError


def read_log(path: Path) -> list[dict[str, Any]]:
    """Entries of a log; a last line that a kill or a full disk cut short is left out.

    Raises CheckpointError for a file that cannot be read or is damaged elsewhere.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines[:-1] if line]
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: cannot read the training log: {error}; give the folder of a run of "
            f"'sparsespeech train'"
        ) from None
    if not all(isinstance(row, dict) and is_number(row.get("step")) for row in rows):
        raise CheckpointError(
            f"{path}: every line must be an object with a number 'step'; "
            f"give the folder of a run of 'sparsespeech train'"
        )
    return rows


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number that a float holds; true and false are none."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # False for NaN
