"""Every other file that a user hands over, with one thing wrong each: an error that names it.

Model files have their own attacks (``test_attacks.py``), checkpoints theirs
(``test_bad_checkpoints.py``).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
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
from tests.fuzz.bad_input import mutations, outcome, text_damage
from tests.fuzz.coded_attacks import CODED
from tests.fuzz.forged_files import PLAIN
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
    free: Mapping[str, list[str]] = MappingProxyType({})


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
        found = outcome(kind.read, path)
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


SOURCE = {"manifest": "speech.jsonl", "split": None, "weight": 1.0, "until": 1.0}
RECIPE = parse_recipe(
    {
        "name": "tiny",
        "data": {"train": [SOURCE], "development": SOURCE},
        "optimizer": {"steps": 10},
        "pruning": {
            "final_sparsity": 0.5,
            "end": 0.5,
            "structure": {"kind": "bank_balanced", "bank": 8},
            "exceptions": {"layer1": {"sparsity": 0.2}},
        },
        "distillation": {"teacher": "run"},
        "fixed_point": {},
    },
    "test",
).model_dump(mode="json")
RUN = {"label": "a", "checkpoint": "run", "note": "n"}
PLAN = {
    "calibration": "train.jsonl",
    "corpora": {
        "an4": {
            "manifest": "test.jsonl",
            "split": None,
            "lm": "a.arpa",
            "pairs": [{"seed": 0, "dense": "a", "sparse": "b"}],
            "single": {"9054": "c"},
        }
    },
    "equal_nonzeros": {"manifest": "dev.jsonl", "dense_small": [RUN], "sparse_large": [RUN]},
    "tried": {"manifest": "dev.jsonl", "runs": [RUN]},
}
DESCRIPTION = {
    "layers": ["a", "b"], "ignore": ["c"], "clip": {"a": 20.0}, "labels": ["x", "y"],
    "blank": "last", "features": {"context": 2}, "normalisation": {"mean": 0.0, "deviation": 1.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (RECIPE, lambda values: parse_recipe(values, "test")),
        (PLAN, parse_plan),
        (DESCRIPTION, lambda values: read_description(None, values)),
    ],
    ids=["recipe", "accuracy plan", "description"],
)
def test_every_wrong_value_of_a_settings_file_is_refused_or_read(
    values: Any, read: Callable[[Any], object]
) -> None:
    """Many odd values are possible ones here; none may end in another exception."""
    read(values)
    results = {}
    for mutation in mutations(values):
        if isinstance(mutation.values, dict):
            results[f"{mutation.place} {mutation.change}"] = outcome(read, mutation.values)
    assert {label: o for label, o in results.items() if o not in ("accepted", "refused")} == {}
    assert list(results.values()).count("refused") > 0.6 * len(results)
    # What no settings file may say, wherever it stands.
    assert [label for label, o in results.items() if "renamed" in label and o == "accepted"
            and not re.search(FREE_NAMES, label)] == []  # fmt: skip


# Names that are the user's own, and keys that have defaults but no place of their own.
FREE_NAMES = r"exceptions\.layer1|corpora\.an4 |single\.9054|clip\.a |features"


def settings_text(values: Any) -> bytes:
    return yaml.safe_dump(values).encode()


ARPA = (
    b"\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-1.0\t<s>\t-0.3\n-1.0\t</s>\n-0.5\ta\t-0.2\n"
    b"-0.7\tb\n\n\\2-grams:\n-0.1\t<s> a\n-0.2\ta b\n\n\\end\\\n"
)
DAMAGED: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "sensitivity.json": (json.dumps(SCAN).encode(), read_scan),
    "points.json": (json.dumps(POINTS).encode(), lambda path: read_points(path, lambda name: 0.3)),
    "recipe.yaml": (settings_text(RECIPE), lambda path: load_recipe(str(path))),
    "plan.yaml": (settings_text(PLAN), read_plan),
    "description.yaml": (settings_text(DESCRIPTION), lambda path: read_description(path, {})),
    "lm.arpa": (ARPA, LanguageModel.read),
    "lm.arpa.gz": (gzip.compress(ARPA), LanguageModel.read),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    content, read = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(content)
    read(path)
    for damage, damaged in text_damage(content).items():
        path.write_bytes(damaged)
        # A description may be empty or end early: options say the rest.
        if name != "description.yaml" or damage not in ("cut in the middle", "last bytes missing"):
            assert outcome(read, path) == "refused", damage


def test_a_damaged_log_is_refused_or_cut_short(tmp_path: Path) -> None:
    """A kill or a full disk cuts the last line, and a log may have none."""
    content = (json.dumps(ROW) + "\n").encode() * 3
    for damage, damaged in text_damage(content).items():
        (tmp_path / "log.jsonl").write_bytes(damaged)
        found = outcome(read_log, tmp_path / "log.jsonl")
        cut = damage in ("empty", "cut in the middle", "last bytes missing") or b"\n" not in damaged
        assert found == ("accepted" if cut else "refused"), damage


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 3)


def test_every_wrong_value_of_a_manifest_is_refused(manifest: Path) -> None:
    content = manifest.read_bytes()
    lines = content.decode().splitlines()
    free = {"duration": ["fraction", "huge"], "text": TEXTS}
    wrong = []
    for mutation in mutations(json.loads(lines[1])):
        manifest.write_text("\n".join([lines[0], json.dumps(mutation.values), lines[2]]))
        found = outcome(read_manifest, manifest)
        possible = mutation.place in ("speaker", "split")  # any value, as a text
        possible |= mutation.change in free.get(mutation.place, [])
        if found != "refused" and not (possible and found == "accepted"):
            wrong.append(f"{mutation.place} {mutation.change}: {found}")
    for damage, damaged in text_damage(content).items():
        manifest.write_bytes(damaged)
        found = outcome(read_manifest, manifest)
        if found != "refused":
            wrong.append(f"{damage}: {found}")
    manifest.write_bytes(content)
    assert wrong == []


def test_every_wrong_word_of_a_language_model_is_refused_or_read(tmp_path: Path) -> None:
    path, wrong = tmp_path / "lm.arpa", []
    odd = ["", "x", "nan", "inf", "1e999", "9" * 20, "\0", "\\end\\", "\\1-grams:", "a b c d"]
    for word in re.finditer(rb"\S+", ARPA):
        for text in odd:
            path.write_bytes(ARPA[: word.start()] + text.encode() + ARPA[word.end() :])
            found = outcome(LanguageModel.read, path)
            is_number = re.fullmatch(rb"-\d\.\d", word[0]) is not None
            if found not in ("refused", "accepted"):
                wrong.append(f"{word} {text!r}: {found}")
            elif found == "accepted" and is_number and text in ("x", "nan", "inf", "1e999", "\0"):
                wrong.append(f"{word} {text!r}: {found}")
    assert wrong == []


@pytest.mark.parametrize("content", [PLAIN, CODED], ids=["plain", "coded"])
def test_commands_name_a_damaged_model(
    content: bytes, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.safetensors"
    for damage, damaged in text_damage(content).items():
        model.write_bytes(damaged)
        for command in (["inspect", str(model)], ["evaluate", str(model), str(manifest)]):
            assert main(command) == 2, damage
            said = capsys.readouterr()
            assert len(said.err.splitlines()) == 1, (damage, said.err)
            assert str(model) in said.err


def test_commands_name_other_damaged_files(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "deep.yaml"
    deep.write_bytes(b"[" * 2_000)
    nul = tmp_path / "nul.yaml"
    nul.write_text(yaml.safe_dump({**RECIPE, "data": {"train": [{"manifest": "a\0b"}],
                                                      "development": SOURCE}}))  # fmt: skip
    scan = tmp_path / "sensitivity.json"
    write_suggestion(scan, {"layer1.weight": 0.5}, ["layer2.weight"])
    (tmp_path / "empty").mkdir()
    model = tmp_path / "model.safetensors"
    model.write_bytes(PLAIN)
    output = ["--output", str(tmp_path / "run")]
    pruned = ["--set", f"pruning.from_sensitivity={scan}", "--set", "pruning.final_sparsity=0.5"]
    pruned += ["--set", "pruning.end=0.4", "--set", "model.hidden=8"]
    data = ["--set", f"data.train=[{{manifest: {manifest}}}]",
            "--set", f"data.development.manifest={manifest}"]  # fmt: skip
    for command, named in (
        (["train", str(deep), *output], "deep.yaml"),
        (["train", str(nul), *output], "NUL"),
        (["train", str(tmp_path / "no.yaml"), *output], "no.yaml"),
        (["train", "english-small", *output, *data, *pruned], "layer1.weight"),
        (["inspect", str(tmp_path / "empty")], "empty"),
        (["inspect", str(model), "--html", str(tmp_path / "x.html"), "--sweep", str(deep)],
         "deep.yaml"),
        (["evaluate", str(model), str(manifest), "--lm", str(deep)], "deep.yaml"),
    ):  # fmt: skip
        status = main(command)
        said = capsys.readouterr().err.strip()
        assert (status, len(said.splitlines())) == (2, 1), (command, said)
        assert named in said, (command, said)


def test_no_path_holds_nul() -> None:
    for text in ("a\0b", "\0"):
        assert outcome(expand_path, text) == "refused"
