"""The scan against torch done by hand, its resumption, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from sparsespeech.audio.reading import read_audio
from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.errors import ManifestError, SensitivityError
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.pruning import scan_sample
from sparsespeech.pruning.allocation import Limits, allocate
from sparsespeech.pruning.scan_sample import ScanSample, choose_sample
from sparsespeech.pruning.sensitivity import scan_checkpoint
from sparsespeech.pruning.sensitivity_file import Scan, read_scan, write_scan
from sparsespeech.pruning.structure_settings import parse_structure
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint
from tests.tone_corpus import write_corpus

SPARSITIES = (0.6, 0.9)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    # random_checkpoint's alphabet is " ab".
    return read_manifest(write_corpus(tmp_path_factory.mktemp("corpus"), 8, letters="ab"))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return random_checkpoint(hidden=6, context=1, coefficients=5, labels=3, sparsity=0.2)


@pytest.fixture(scope="module")
def sample(checkpoint: Checkpoint, utterances: list[Utterance]) -> ScanSample:
    return choose(checkpoint, utterances)


def choose(checkpoint: Checkpoint, utterances: list[Utterance], **changes: int) -> ScanSample:
    settings = {"count": 5, "seed": 1, **changes}
    with Progress(disable=True) as progress:
        return choose_sample(checkpoint, utterances, progress=progress, **settings)


def scan(
    checkpoint: Checkpoint, sample: ScanSample, path: Path, sparsities: tuple[float, ...]
) -> Scan:
    with Progress(disable=True) as progress:
        return scan_checkpoint(checkpoint, sample, sparsities, path, progress)


def loss_by_hand(
    checkpoint: Checkpoint, utterances: list[Utterance], pruned: str, sparsity: float
) -> float:
    """One utterance at a time, the matrix pruned by sorting in numpy."""
    model = build_model(checkpoint)
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    flat = weights[pruned].numpy().ravel()
    flat[np.argsort(np.abs(flat), kind="stable")[: round(sparsity * flat.size)]] = 0.0
    model.load_state_dict(weights, assign=True)  # not into the checkpoint's own tensors
    nats, characters = 0.0, 0
    for utterance in utterances:
        frames = extract_mfcc(read_audio(utterance.audio_filepath).samples, checkpoint.features)
        normal = torch.from_numpy((frames - checkpoint.mean) / checkpoint.deviation).float()
        target = torch.tensor([checkpoint.labels.index(letter) for letter in utterance.text])
        with torch.no_grad():
            scores = model(normal[None], torch.tensor([len(normal)]))
        nats += nn.functional.ctc_loss(
            scores[:, 0], target, torch.tensor(len(normal)), torch.tensor(len(target)),
            blank=3, reduction="sum",
        ).item()  # fmt: skip
        characters += len(target)
    return nats / characters


def test_every_point_is_the_loss_with_that_matrix_alone_pruned(
    checkpoint: Checkpoint, utterances: list[Utterance], tmp_path: Path
) -> None:
    everything = choose(checkpoint, utterances, count=8)
    before = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    found = scan(checkpoint, everything, tmp_path / "s.json", SPARSITIES)
    assert found.loss_dense == pytest.approx(
        loss_by_hand(checkpoint, utterances, "layer1.weight", 0.0), rel=1e-5
    )
    names = [name for name, tensor in checkpoint.weights.items() if tensor.ndim == 2]
    assert [matrix.name for matrix in found.matrices] == names
    for matrix in found.matrices:
        size = checkpoint.weights[matrix.name].numel()
        nonzeros = int(checkpoint.weights[matrix.name].count_nonzero())
        assert matrix.parameters == size
        assert matrix.present == pytest.approx(1 - nonzeros / size)
        for sparsity, loss in matrix.points.items():
            by_hand = loss_by_hand(checkpoint, utterances, matrix.name, sparsity)
            assert loss == pytest.approx(by_hand, rel=1e-5), (matrix.name, sparsity)
    assert len({loss for matrix in found.matrices for loss in matrix.points.values()}) > 9
    assert all(torch.equal(checkpoint.weights[name], before[name]) for name in before)


def test_padding_in_a_batch_changes_nothing(
    checkpoint: Checkpoint, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(checkpoint)
    together = choose(checkpoint, utterances, count=8)
    assert len(together.batches) == 1
    monkeypatch.setattr(scan_sample, "BATCH_FRAMES", 1)
    apart = choose(checkpoint, utterances, count=8)
    assert len(apart.batches) == 8
    assert apart.loss(model) == pytest.approx(together.loss(model), rel=1e-5)
    assert apart.digest == together.digest


def test_the_sample_is_fixed_by_its_seed(
    checkpoint: Checkpoint, utterances: list[Utterance]
) -> None:
    one, same, other = (choose(checkpoint, utterances, seed=seed) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    assert (one.utterances, choose(checkpoint, utterances, count=99).utterances) == (5, 8)


def test_utterances_that_cannot_be_aligned_are_replaced(
    checkpoint: Checkpoint, utterances: list[Utterance]
) -> None:
    endless = [Utterance(u.audio_filepath, u.duration, "ab" * 500) for u in utterances[:3]]
    sample = choose(checkpoint, endless + utterances[3:], count=5)
    assert sample.utterances == 5
    assert sample.characters == sum(len(u.text) for u in utterances[3:])
    with pytest.raises(ManifestError, match="none of 3 utterances"):
        choose(checkpoint, endless)
    with pytest.raises(ManifestError, match="'q'"):
        choose(checkpoint, [Utterance(utterances[0].audio_filepath, 1.0, "aqb")])


def test_a_stopped_scan_goes_on_where_it_was(
    checkpoint: Checkpoint,
    sample: ScanSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = scan(checkpoint, sample, tmp_path / "whole.json", SPARSITIES)
    measured, loss = [], ScanSample.loss

    def counted(self: ScanSample, model: object) -> float:
        if len(measured) == 8:
            raise KeyboardInterrupt
        measured.append(model)
        return loss(self, model)

    monkeypatch.setattr(ScanSample, "loss", counted)
    path = tmp_path / "stopped.json"
    with pytest.raises(KeyboardInterrupt):
        scan(checkpoint, sample, path, SPARSITIES)
    assert sum(len(matrix.points) for matrix in read_scan(path).matrices) == 7
    assert "suggested" not in json.loads(path.read_text())
    monkeypatch.setattr(ScanSample, "loss", loss)
    calls = []
    monkeypatch.setattr(ScanSample, "loss", lambda s, m: calls.append(1) or loss(s, m))
    assert scan(checkpoint, sample, path, SPARSITIES).to_json() == whole.to_json()
    assert len(calls) == 2 * len(whole.matrices) - 7
    assert path.read_bytes() == (tmp_path / "whole.json").read_bytes()
    calls.clear()
    more = scan(checkpoint, sample, path, (*SPARSITIES, 0.95))
    assert len(calls) == len(whole.matrices)
    assert [sorted(matrix.points) for matrix in more.matrices] == [[0.6, 0.9, 0.95]] * 9


def test_another_checkpoint_or_sample_is_refused(
    checkpoint: Checkpoint, utterances: list[Utterance], sample: ScanSample, tmp_path: Path
) -> None:
    path = tmp_path / "s.json"
    scan(checkpoint, sample, path, (0.5,))
    other = random_checkpoint(1, hidden=6, context=1, coefficients=5, labels=3, sparsity=0.2)
    with pytest.raises(SensitivityError, match="another checkpoint"):
        scan(other, sample, path, (0.5,))
    with pytest.raises(SensitivityError, match="another sample"):
        scan(checkpoint, choose(checkpoint, utterances, seed=2), path, (0.5,))


def test_a_sparsity_that_is_there_already_is_not_measured(
    sample: ScanSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = random_checkpoint(hidden=6, context=1, coefficients=5, labels=3, sparsity=0.7)
    loss, calls = ScanSample.loss, []
    monkeypatch.setattr(ScanSample, "loss", lambda s, m: calls.append(1) or loss(s, m))
    found = scan(sparse, sample, tmp_path / "s.json", (0.3,))
    assert len(calls) == 1
    assert {matrix.points[0.3] for matrix in found.matrices} == {found.loss_dense}


def test_weights_that_diverged_are_named(sample: ScanSample, tmp_path: Path) -> None:
    broken = random_checkpoint(hidden=6, context=1, coefficients=5, labels=3)
    broken.weights["layer5.weight"][0, 0] = float("nan")
    with pytest.raises(SensitivityError, match="diverged"):
        scan(broken, sample, tmp_path / "s.json", (0.5,))


def test_the_file_round_trips_and_damage_is_named(
    checkpoint: Checkpoint, sample: ScanSample, tmp_path: Path
) -> None:
    path = tmp_path / "s.json"
    found = scan(checkpoint, sample, path, SPARSITIES)
    limits = {matrix.name: Limits(0.0, 0.9) for matrix in found.matrices}
    found.suggested = allocate(found.curves(), found.loss_dense, 0.75, limits)
    write_scan(path, found)
    assert read_scan(path) == found
    values = json.loads(path.read_text())
    suggested = values["suggested"]
    sizes = {matrix["name"]: matrix["parameters"] for matrix in values["matrices"]}
    zeros = sum(suggested["matrices"][name] * size for name, size in sizes.items())
    assert zeros / sum(sizes.values()) == pytest.approx(suggested["total"])
    assert suggested["total"] == pytest.approx(0.75, abs=1e-4)
    first, *others = values["matrices"]
    for damage in (
        "{", "[]", json.dumps({**values, "matrices": []}),
        json.dumps({key: value for key, value in values.items() if key != "loss_dense"}),
        json.dumps({**values, "loss_dense": float("nan")}),
        json.dumps({**values, "structure": "banks"}),
        json.dumps({**values, "matrices": [{**first, "parameters": -5}, *others]}),
        json.dumps({**values, "matrices": [{**first, "present": float("inf")}, *others]}),
        json.dumps({**values, "matrices": others}),
    ):  # fmt: skip
        path.write_text(damage)
        with pytest.raises(SensitivityError, match=r"s\.json"):
            read_scan(path)


def test_a_structure_prunes_in_its_pattern(
    checkpoint: Checkpoint, sample: ScanSample, tmp_path: Path
) -> None:
    path = tmp_path / "s.json"
    with Progress(disable=True) as progress:
        blocks = scan_checkpoint(checkpoint, sample, (0.5,), path, progress, "block:2x3")
    name = "layer5.weight"  # 6 by 12: twelve blocks of 2 by 3, six of them go
    weight = checkpoint.weights[name]
    means = weight.abs().reshape(3, 2, 4, 3).mean(dim=(1, 3)).flatten()
    mask = torch.ones(12)
    mask[means.argsort()[:6]] = 0.0
    spread = mask.reshape(3, 1, 4, 1).expand(3, 2, 4, 3).reshape(6, 12)
    model = build_model(checkpoint)
    model.load_state_dict({**checkpoint.weights, name: weight * spread}, assign=True)
    (found,) = [matrix for matrix in blocks.matrices if matrix.name == name]
    assert found.points[0.5] == pytest.approx(sample.loss(model), rel=1e-6)
    with pytest.raises(SensitivityError, match="another structure"):
        scan(checkpoint, sample, path, (0.5,))
    with Progress(disable=True) as progress, pytest.raises(SensitivityError, match="no structure"):
        scan_checkpoint(checkpoint, sample, (0.5,), path, progress, "blocks")


def test_a_matrix_may_have_a_structure_of_its_own(
    checkpoint: Checkpoint, sample: ScanSample, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.json" for name in ("plain", "blocks", "mixed")]
    own = {"layer5.weight": "block:2x3"}
    with Progress(disable=True) as progress:
        plain = scan_checkpoint(checkpoint, sample, (0.5,), paths[0], progress)
        blocks = scan_checkpoint(checkpoint, sample, (0.5,), paths[1], progress, "block:2x3")
        mixed = scan_checkpoint(checkpoint, sample, (0.5,), paths[2], progress, own_structures=own)
    for single, block, found in zip(plain.matrices, blocks.matrices, mixed.matrices, strict=True):
        assert found.points == (block if found.name in own else single).points
    assert read_scan(paths[2]) == mixed
    shapes = mixed.structures()
    assert (shapes["layer5.weight"], shapes["layer3.weight"]) == (
        parse_structure("block:2x3"),
        parse_structure("unstructured"),
    )
    with pytest.raises(SensitivityError, match=r"layer5.weight as block:2x3, not of layer5"):
        scan(checkpoint, sample, paths[2], (0.5,))


def test_a_scan_of_other_matrices_is_refused(
    checkpoint: Checkpoint, sample: ScanSample, tmp_path: Path
) -> None:
    path = tmp_path / "s.json"
    scan(checkpoint, sample, path, (0.5,))
    values = json.loads(path.read_text())
    renamed = json.loads(path.read_text())
    renamed["matrices"][0]["name"] = "layer0.weight"
    for damaged, message in (
        (renamed, "the scan of layer0.weight"),
        ({**values, "matrices": values["matrices"][:-1]}, "holds 8 matrices, the network has 9"),
    ):
        path.write_text(json.dumps(damaged))
        with pytest.raises(SensitivityError, match=message):
            scan(checkpoint, sample, path, (0.5,))
