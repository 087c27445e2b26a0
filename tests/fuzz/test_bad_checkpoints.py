"""Checkpoint folders with one thing wrong each: every reader and every command names it."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparsespeech.cli.main import main
from sparsespeech.errors import CheckpointError
from sparsespeech.graph import deepspeech
from sparsespeech.pruning.retraining_recipe import Retraining, retraining_recipe
from sparsespeech.report.checkpoint_weights import read_checkpoint_weights
from sparsespeech.training.checkpoint import load_checkpoint, read_state, save_checkpoint
from sparsespeech.training.checkpoint_state import file_digest, read_checkpoint_state
from sparsespeech.training.packed_checkpoint import pack_checkpoint
from sparsespeech.training.parameter_shapes import parameter_shapes
from sparsespeech.training.recipe import parse_recipe
from tests.fuzz.bad_input import mutations, outcome, text_damage
from tests.little_memory import little_memory
from tests.random_checkpoints import random_checkpoint
from tests.tone_corpus import write_corpus

Tensors = dict[str, Tensor]


def full_recipe() -> dict[str, Any]:
    source = {"manifest": "speech.jsonl", "split": None}
    values = {
        "name": "tiny",
        "data": {"train": [source], "development": source, "symbols": " ab"},
        "model": {"hidden": 6},
        "optimizer": {"steps": 10},
        "fixed_point": {},
    }
    return parse_recipe(values, "test").model_dump(mode="json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint as training leaves it, but for the optimizer's moments."""
    checkpoint = random_checkpoint(hidden=6, bidirectional=False, labels=3, sparsity=0.8)
    state = {
        "recipe": full_recipe(),
        "graph": checkpoint.graph.to_json(),
        "features": checkpoint.features.to_json(),
        "mean": checkpoint.mean.tolist(),
        "deviation": checkpoint.deviation.tolist(),
        "labels": list(checkpoint.labels),
        "progress": {"workers": 1, "corpora": "0", "hours": 0.1},
    }
    tensors = {
        f"{group}.{name}": tensor.clone()
        for group in ("weights", "average")
        for name, tensor in checkpoint.weights.items()
    }
    mask = checkpoint.weights["layer5.weight"] != 0
    others = {
        "masks.layer5.weight": mask,
        "policy.gradient_norms": torch.ones(3, dtype=torch.float64),
    }
    return save_checkpoint(tmp_path / "run", 7, tensors | others, {}, state, keep=1)


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    pack_checkpoint(folder, tmp_path / "packed", shard_bytes=4096)
    return tmp_path / "packed"


def load_for_report(folder: Path) -> None:
    for _ in read_checkpoint_weights(folder).matrices():
        pass


READERS = {"torch": load_checkpoint, "report": load_for_report}
readers = pytest.mark.parametrize("reader", READERS)

# Where another value of the right type is another valid checkpoint.
FREE = re.compile(
    r"sha256(\.| object| empty object)|recipe|progress"  # digests: with the tensors, below
    r"|(mean|deviation)\.\d+ (negative|fraction|huge)"
    r"|graph\.0\.clip fraction"
    r"|features\.(preemphasis|lowest_hz|highest_hz) fraction"
)


def sweep(
    path: Path, values: Any, read: Callable[[], object], places: str = ""
) -> tuple[list[str], list[str]]:
    """Labels of mutations of a JSON file that were accepted, and of those that escaped."""
    accepted, escaped = [], []
    for mutation in mutations(values, places):
        path.write_text(json.dumps(mutation.values))
        label = f"{mutation.place} {mutation.change}"
        match outcome(read):
            case "accepted":
                accepted.append(label)
            case "refused":
                pass
            case other:
                escaped.append(f"{label}: {other}")
    return accepted, escaped


def test_every_wrong_value_of_the_state_is_refused(folder: Path) -> None:
    path = folder / "state.json"
    values = json.loads(path.read_text())
    values["recipe"] = {"name": "tiny"}  # its values: below
    accepted, escaped = sweep(path, values, lambda: read_checkpoint_state(folder))
    assert escaped == []
    wrong = [label for label in accepted if not FREE.match(label)]
    # A negative mean is a mean, a negative deviation is none.
    wrong += [label for label in accepted if re.match(r"deviation\.\d+ negative", label)]
    assert wrong == []


@readers
def test_a_graph_or_features_within_their_types_must_still_fit(folder: Path, reader: str) -> None:
    path = folder / "state.json"
    values = json.loads(path.read_text())
    for place, key, value in (
        (values["graph"][0], "outputs", 7),
        (values["graph"][-1], "outputs", 5),
        (values["graph"][3], "bidirectional", True),
        (values["graph"][3], "peephole", True),
        (values["graph"][3], "projection", 4),
        (values["features"], "context", 2),
        (values["features"], "coefficients", 6),
        (values, "labels", [" ", "a"]),
        (values, "labels", [" ", "a", "a"]),
        (values, "graph", values["graph"] + values["graph"]),
    ):
        before = copy.deepcopy(place)
        place[key] = value
        path.write_text(json.dumps(values))
        assert outcome(READERS[reader], folder) == "refused", (key, value)
        place.update(before)


def test_a_wrong_recipe_is_refused_where_it_is_read(folder: Path) -> None:
    """The recipe is a fact for a person, until something is trained by it."""
    path = folder / "state.json"
    values = json.loads(path.read_text())
    section = {"final_sparsity": 0.5, "start": 0.0, "end": 0.5}

    def read() -> None:
        recipe = load_checkpoint(folder).facts["recipe"]
        assert isinstance(recipe.get("name", ""), str)
        quantization = recipe.get("quantization") or {}
        assert type(quantization.get("calibration_utterances", 1)) is int
        parse_recipe(
            retraining_recipe(folder, read_state(folder)["recipe"], section, Retraining()), "test"
        )

    escaped = []
    places = r"name|quantization|optimizer|model$|logging$|logging.checkpoint_every"
    for mutation in mutations(values["recipe"], places):
        path.write_text(json.dumps({**values, "recipe": mutation.values}))
        found = outcome(read)
        if found not in ("accepted", "refused"):
            escaped.append(f"{mutation.place} {mutation.change}: {found}")
    assert escaped == []


def seal(folder: Path, change: Callable[[Tensors], object]) -> None:
    """Change the tensors of a checkpoint, digests made anew."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    state = json.loads((folder / "state.json").read_text())
    state["sha256"]["model.safetensors"] = file_digest(path)
    (folder / "state.json").write_text(json.dumps(state))


WEIGHT = "average.layer1.weight"
WRONG_TENSORS: dict[str, Callable[[Tensors], object]] = {
    "missing": lambda tensors: tensors.pop(WEIGHT),
    "renamed": lambda tensors: tensors.update({f"{WEIGHT}x": tensors.pop(WEIGHT)}),
    "one more": lambda tensors: tensors.update({"average.layer9.weight": torch.zeros(6, 6)}),
    "a row less": lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT][:-1].clone()}),
    "a column more": lambda tensors: tensors.update({WEIGHT: torch.zeros(6, 16)}),
    "flat": lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].flatten()}),
    "empty": lambda tensors: tensors.update({WEIGHT: torch.zeros(0)}),
    "of doubles": lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].double()}),
    "of bfloat16": lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].bfloat16()}),
    "of integers": lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].long()}),
    "NaN": lambda tensors: tensors[WEIGHT][0].fill_(torch.nan),
    "infinite": lambda tensors: tensors[WEIGHT][0].fill_(-torch.inf),
    "nothing at all": dict.clear,
}


@readers
@pytest.mark.parametrize("change", WRONG_TENSORS)
def test_wrong_tensors_are_refused(folder: Path, reader: str, change: str) -> None:
    seal(folder, WRONG_TENSORS[change])
    with pytest.raises(CheckpointError) as caught:
        READERS[reader](folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "layer" in message


def test_masks_that_do_not_fit_are_refused(folder: Path) -> None:
    seal(folder, lambda tensors: tensors.update({"masks.layer5.weight": torch.ones(2, 2).bool()}))
    with pytest.raises(CheckpointError, match=r"masks\.layer5\.weight is \[2, 2\].*needs \[6, 6\]"):
        load_checkpoint(folder)


@readers
@pytest.mark.parametrize("digests", [{}, {"model.safetensors": "0"}, {"model": "0"}])
def test_a_digest_that_is_missing_or_wrong_is_refused(
    folder: Path, reader: str, digests: dict[str, str]
) -> None:
    path = folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": digests}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: SHA-256 differs"):
        READERS[reader](folder)


@readers
@pytest.mark.parametrize("file", ["state.json", "model.safetensors"])
def test_a_damaged_file_is_refused(folder: Path, reader: str, file: str) -> None:
    content = (folder / file).read_bytes()
    for name, damaged in text_damage(content).items():
        (folder / file).write_bytes(damaged)
        assert outcome(READERS[reader], folder) == "refused", name
    (folder / file).unlink()
    assert outcome(READERS[reader], folder) == "refused"


@readers
def test_every_wrong_value_of_a_packed_index_is_refused(packed: Path, reader: str) -> None:
    path = packed / "packed.json"
    values = json.loads(path.read_text())
    places = (
        r"format_version|files$|files.packed-00001|tensors$|tensors.average.layer1.(weight|bias)"
    )
    accepted, escaped = sweep(path, values, lambda: READERS[reader](packed), places)
    assert escaped == []
    assert [label for label in accepted if ".bytes " not in label] == []


@readers
def test_a_damaged_shard_is_refused(packed: Path, reader: str) -> None:
    path = packed / "packed-00001.safetensors"
    content = path.read_bytes()
    index = json.loads((packed / "packed.json").read_text())
    for name, damaged in text_damage(content).items():
        path.write_bytes(damaged)
        index["files"][path.name]["sha256"] = file_digest(path)
        (packed / "packed.json").write_text(json.dumps(index))
        assert outcome(READERS[reader], packed) == "refused", name
    path.unlink()
    assert outcome(READERS[reader], packed) == "refused"


def _recipe_is_a_text(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "recipe": "hello"}))


def _digests_are_a_list(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "sha256": ["a"]}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "digests are a list": _digests_are_a_list,
    "recipe is a text": _recipe_is_a_text,
    "weights of another shape": lambda folder: seal(folder, WRONG_TENSORS["a row less"]),
    "NaN": lambda folder: seal(folder, WRONG_TENSORS["NaN"]),
    "state is empty": lambda folder: (folder / "state.json").write_text(""),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
}
COMMANDS = {
    "inspect": ["inspect", "CHECKPOINT", "--html", "OUT.html"],
    "inspect --dense": ["inspect", "PACKED", "--html", "OUT.html", "--dense", "CHECKPOINT"],
    "prune": ["prune", "CHECKPOINT", "--output", "OUT", "--sparsity", "0.5", "--one-shot",
              "--steps", "0"],
    "export": ["export", "CHECKPOINT", "--packed", "--output", "OUT"],
    "quantize": ["quantize", "CHECKPOINT", "--manifest", "MANIFEST", "--output",
                 "OUT.safetensors"],
    "evaluate": ["evaluate", "CHECKPOINT", "MANIFEST"],
    "sensitivity": ["sensitivity", "CHECKPOINT", "--manifest", "MANIFEST", "--output", "OUT"],
    "compress": ["compress", "CHECKPOINT", "--codebook", "16", "--output", "OUT"],
}  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 2, letters="ab")


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_ends_with_one_line(
    folder: Path,
    packed: Path,
    manifest: Path,
    damage: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    DAMAGES[damage](folder)
    words = {"CHECKPOINT": folder, "PACKED": packed, "MANIFEST": manifest}
    words |= {"OUT": tmp_path / "out", "OUT.html": tmp_path / "out.html"}
    words["OUT.safetensors"] = tmp_path / "out.safetensors"
    for name, command in COMMANDS.items():
        status = main([str(words.get(word, word)) for word in command])
        said = capsys.readouterr()
        lines = said.err.strip().splitlines()
        assert (status, len(lines)) == (2, 1), (name, said.err)
        assert lines[0].startswith("sparsespeech: error: "), name
        assert str(folder) in lines[0], name
        assert not list(tmp_path.glob("out*")), name


def test_the_undamaged_folder_serves(folder: Path, packed: Path, tmp_path: Path) -> None:
    for reader in READERS.values():
        reader(folder)
        reader(packed)
    shutil.copytree(packed, tmp_path / "copy")
    found = load_checkpoint(tmp_path / "copy").weights
    for name, weight in load_checkpoint(folder).weights.items():
        np.testing.assert_array_equal(found[name].numpy(), weight.numpy())


def test_a_small_folder_asks_for_no_large_network(packed: Path) -> None:
    """Graph, index and state say 30,000 cells in unison; a few thousand bytes cannot hold them."""
    graph = deepspeech(30_000, bidirectional=False, inputs=15, labels=4)
    state = json.loads((packed / "state.json").read_text())
    (packed / "state.json").write_text(json.dumps({**state, "graph": graph.to_json()}))
    index = json.loads((packed / "packed.json").read_text())
    shapes = parameter_shapes(graph)
    for name, entry in index["tensors"].items():
        entry["shape"] = shapes.get(name.partition(".")[2], entry["shape"])
    (packed / "packed.json").write_text(json.dumps(index))
    for reader in READERS.values():
        with little_memory(), pytest.raises(CheckpointError, match=r"elements in \d+ stored bytes"):
            reader(packed)


def test_what_is_more_than_little_memory() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the kernel does not count anew")
    with little_memory():
        np.ones(2**20)
    with pytest.raises(MemoryError), little_memory():
        np.zeros(2**30)  # 8 GiB that nobody touches
    with pytest.raises(AssertionError, match="bytes more were in use"), little_memory():
        np.ones(2**24)  # 128 MiB
