"""Every other file that a user hands over, with one thing wrong each: an error that names it.

Model files have their own attacks (``attacks.py``), checkpoints theirs
(``test_bad_checkpoints.py``).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from sparsespeech.benchmarks.accuracy_plan import parse_plan, read_plan
from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.exchange.description import read_description
from sparsespeech.pruning.sensitivity_file import read_scan
from sparsespeech.report.run_course import read_course
from sparsespeech.report.sparsity_curve import course_points, read_points
from sparsespeech.training.log_file import read_log
from sparsespeech.training.recipe import expand_path, load_recipe, parse_recipe
from tests.fuzz.attacks import PLAIN
from tests.fuzz.coded_attacks import CODED
from tests.fuzz.mutations import mutations, outcome, text_damage
from tests.suggested_sparsities import write_suggestion
from tests.tone_corpus import write_corpus

TEXTS = ["empty text", "text", "control"]
NUMBERS = ["negative", "fraction", "huge"]


class Kind(NamedTuple):
    """A kind of file: its values, its reader, and by place the changes that leave it valid.

    ``whole`` turns values into text; ``free`` maps a regular expression over places to changes.
    """

    values: Any
    read: Callable[[Path], object]
    whole: Callable[[Any], str] = json.dumps
    free: dict[str, list[str]] = {}


def course_of(path: Path) -> None:
    course_points(read_course(path.parent))


MATRIX = {"name": "layer1.weight", "parameters": 8, "present": 0.25}
SCAN = {
    "checkpoint": "run", "checkpoint_sha256": "0", "sample_sha256": "0", "utterances": 5,
    "structure": "unstructured", "loss_dense": 0.5,
    "matrices": [{**MATRIX, "points": [{"sparsity": 0.5, "loss": 1.0}]}],
    "suggested": {"target": 0.5, "total": 0.5, "loss_increase": 0.1,
                  "matrices": {"layer1.weight": 0.5}},
}  # fmt: skip
ROW = {
    "step": 3, "loss": 1.0, "development_loss": 2.0, "development_wer": 3.0, "sparsity": 0.5,
    "mask_update": {"sparsity": 0.5, "changed": 4},
}  # fmt: skip
POINTS = {
    "points": [
        {"sparsity": 0.5, "wer": 10.0, "series": "a", "interval": [9.0, 11.0]},
        {"model": "x", "wer": 3.0},
    ]
}
ANY = ["."]  # a fact for a person, or a value that is left out of a picture where it is none
KINDS = {
    "sensitivity.json": Kind(
        SCAN,
        read_scan,
        free={
            r"checkpoint.*|sample_sha256": TEXTS,
            r"loss_dense|.*\.loss|.*increase": ["fraction", "huge"],
            r".*(present|\.sparsity|target|total|suggested\.matrices\.layer1\.weight)": [
                "fraction"
            ],
            r"suggested": ["null", "removed"],
            r"matrices\.0\.points": ["empty list"],
            r"matrices\.0\.points\.0": ["removed"],
            r"matrices\.0\.parameters": [],
        },
    ),
    "log.jsonl": Kind(
        ROW,
        course_of,
        lambda values: f"{json.dumps(ROW)}\n{json.dumps(values)}\n",
        free={r"step": NUMBERS, r"(?!step).+": ANY},
    ),
    "points.json": Kind(
        POINTS,
        lambda path: read_points(path, lambda model: 0.3),
        free={r"points\..*": ANY},
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_wrong_value_is_refused(name: str, tmp_path: Path) -> None:
    kind, path = KINDS[name], tmp_path / name
    path.write_text(kind.whole(kind.values))
    kind.read(path)
    wrong = []
    for mutation in mutations(kind.values):
        path.write_text(kind.whole(mutation.values))
        found = outcome(lambda: kind.read(path))
        allowed = [
            change
            for places, changes in kind.free.items()
            if re.fullmatch(places, mutation.place)
            for change in changes
        ]
        if found != "refused" and not (
            found == "accepted" and ("." in allowed or mutation.change in allowed)
        ):
            wrong.append(f"{mutation.place} {mutation.change}: {found}")
    assert wrong == []
