"""The loop on a corpus of tones: it learns, prunes, logs, refuses and survives a full disk."""

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch.nn.functional import ctc_loss

from sparsespeech.acoustic_model.deepspeech import prunable_names
from sparsespeech.audio.reading import read_audio
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.errors import CheckpointError, ManifestError, RecipeError, TrainingError
from sparsespeech.training import run_log
from sparsespeech.training.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    read_tensors,
    save_checkpoint,
    select,
)
from sparsespeech.training.float_recogniser import FloatRecogniser, build_model
from sparsespeech.training.log_file import read_log
from sparsespeech.training.loop import train
from sparsespeech.training.optimizer import learning_rate
from sparsespeech.training.recipe import Optimizer, Recipe, parse_recipe
from sparsespeech.training.session import Session
from tests.tone_corpus import speak, tiny_recipe, write_corpus


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 40)


def recipe(manifest: Path, **changes: object) -> Recipe:
    return parse_recipe(tiny_recipe(manifest, **changes), "test")


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("runs") / "learned"
    train(
        recipe(
            manifest,
            model={"hidden": 32, "dropout": 0.0, "features": {"context": 2}},
            augmentation=None,
            pruning={"final_sparsity": 0.6, "start": 0.6, "end": 0.8, "updates": 10},
            optimizer={
                "steps": 320,
                "learning_rate": 0.01,
                "warmup_steps": 20,
                "decay_start": 0.8,
                "average_decay": 0.9,
            },
            logging={"checkpoint_every": 160, "evaluate_every": 160, "log_every": 40},
        ),
        run,
    )
    return run


def test_it_learns_the_tones_and_prunes(trained: Path) -> None:
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["development_wer"] for row in log if "development_wer" in row][-1] < 20
    last = [row for row in log if "loss" in row][-1]
    assert last["audio_hours_per_hour"] > 0
    assert 0 < last["flop_utilisation"] < 1.5
    checkpoint = load_checkpoint(trained)
    model = build_model(checkpoint)
    for name in prunable_names(model):
        wanted = {"layer1": 0.85, "layer6": 0.0}.get(name.split(".")[0], 0.6)
        weights = model.get_parameter(name)
        assert float((weights == 0).float().mean()) == pytest.approx(wanted, abs=0.01), name


def test_a_checkpoint_recognises(trained: Path) -> None:
    recogniser = FloatRecogniser.load(trained)
    random = np.random.default_rng(9)
    texts = ["abca", "dd cab", "bad", "a dab"]
    heard = [
        greedy_decode(recogniser.log_probabilities(speak(text, random)), recogniser.alphabet)
        for text in texts
    ]
    assert sum(h.text == text for h, text in zip(heard, texts, strict=True)) >= 3
    assert recogniser.log_probabilities(np.zeros(0)).shape == (0, 6)


def test_fine_tuning_starts_from_the_averaged_weights(
    manifest: Path, trained: Path, tmp_path: Path
) -> None:
    model = {"hidden": 32, "features": {"context": 2}, "initial": str(trained)}
    optimizer = {"steps": 1, "learning_rate": 1e-12, "warmup_steps": 0, "decay_start": 0.9}
    train(recipe(manifest, model=model, optimizer=optimizer, pruning=None), tmp_path / "tuned")
    before, after = load_checkpoint(trained), load_checkpoint(tmp_path / "tuned")
    np.testing.assert_array_equal(before.mean, after.mean)
    for name, weight in before.weights.items():
        torch.testing.assert_close(after.weights[name], weight, rtol=0, atol=1e-9)
    with pytest.raises(RecipeError, match=r"model\.initial"):
        train(recipe(manifest, model={**model, "hidden": 8}), tmp_path / "other")


def test_an_existing_run_is_not_overwritten(trained: Path, manifest: Path) -> None:
    with pytest.raises(CheckpointError, match="--resume"):
        train(recipe(manifest), trained)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": {"hidden": 8, "features": {"context": 2}}}, "model.hidden was 16, is 8"),
        ({"seed": 5}, "seed was 0, is 5"),
        ({"pruning": None}, "pruning was"),
    ],
)
def test_resume_with_another_recipe_is_refused(
    manifest: Path, tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    train(recipe(manifest), tmp_path, stop_after=4)
    before = (tmp_path / "recipe.yaml").read_text()
    with pytest.raises(CheckpointError, match=named):
        train(recipe(manifest, **changes), tmp_path, resume=True)
    assert (tmp_path / "recipe.yaml").read_text() == before


def test_resume_with_other_data_is_refused(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus", 6)
    train(recipe(manifest), tmp_path / "run", stop_after=4)
    write_corpus(tmp_path / "corpus", 7)
    with pytest.raises(CheckpointError, match="corpora was"):
        train(recipe(manifest), tmp_path / "run", resume=True)


def test_rewritten_recordings_are_read_again(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus", 6, letters="ab")
    train(recipe(manifest), tmp_path / "one", stop_after=1)
    for file in (tmp_path / "corpus").glob("*.wav"):
        content = file.read_bytes()
        file.write_bytes(content[:44] + bytes(len(content) - 44))
        os.utime(file, ns=(1, 1))
    run = tmp_path / "two"
    (run / "features").mkdir(parents=True)
    for cache in (tmp_path / "one" / "features").iterdir():
        (run / "features" / cache.name).write_bytes(cache.read_bytes())
    train(recipe(manifest), run, stop_after=1)
    first, second = (load_checkpoint(path).mean for path in (tmp_path / "one", run))
    assert not np.allclose(first, second)


def test_a_diverging_run_stops_before_it_saves(manifest: Path, tmp_path: Path) -> None:
    settings = {"steps": 30, "learning_rate": 1e33, "warmup_steps": 0, "decay_start": 0.7}
    with pytest.raises(TrainingError, match="diverged"):
        train(recipe(manifest, optimizer=settings), tmp_path)
    for folder in list_checkpoints(tmp_path):
        assert all(torch.isfinite(w).all() for w in load_checkpoint(folder).weights.values())


def test_augmentation_acts_from_its_start_until_its_end(manifest: Path, tmp_path: Path) -> None:
    settings = {"start": 5, "off_at_end": 0.5, "gain_db": 6.0}
    sessions = []
    for changes in ({"augmentation": settings}, {"augmentation": None}):
        with Progress(disable=True) as progress:
            checked = recipe(manifest, **changes)
            sessions.append(Session.build(checked, tmp_path, progress, 0, 1))
    changed = []
    for step in range(30):
        first, second = (session.loader.load(step).frames for session in sessions)
        changed.append(first.shape != second.shape or not torch.equal(first, second))
    assert changed == [5 <= step < 15 for step in range(30)]


def test_a_checkpoint_is_loaded_as_its_average(manifest: Path, tmp_path: Path) -> None:
    folder = train(recipe(manifest), tmp_path, stop_after=6)
    tensors = read_tensors(folder, "model")
    for name, weight in load_checkpoint(folder).weights.items():
        assert torch.equal(weight, tensors[f"average.{name}"])
    assert not torch.equal(tensors["average.layer2.weight"], tensors["weights.layer2.weight"])


def test_the_log_tells_mask_updates_and_development_figures(manifest: Path, tmp_path: Path) -> None:
    settings = {"steps": 24, "learning_rate": 0.01, "decay_start": 0.7, "bfloat16": False}
    train(recipe(manifest, optimizer=settings), tmp_path)
    rows = read_log(tmp_path / "log.jsonl")
    updates = {row["step"]: row["mask_update"] for row in rows if "mask_update" in row}
    # The ramp is steps 5 to 14, counted from 0.
    assert list(updates) == list(range(6, 16))
    masks = select(read_tensors(find_checkpoint(tmp_path), "model"), "masks")
    pruned = sum(int((mask == 0).sum()) for mask in masks.values())
    assert sum(update["changed"] for update in updates.values()) == pruned
    size = sum(mask.numel() for mask in masks.values())
    assert updates[15]["sparsity"] == pytest.approx(pruned / size, abs=1e-6)

    recogniser, nats, characters = FloatRecogniser.load(tmp_path), 0.0, 0
    utterances = read_manifest(manifest)
    for number in np.linspace(0, len(utterances) - 1, 5).astype(int):
        samples = read_audio(utterances[number].audio_filepath, 16000).samples
        scores = torch.from_numpy(recogniser.log_probabilities(samples))
        target = torch.from_numpy(recogniser.alphabet.encode(utterances[number].text))
        nats += float(
            ctc_loss(scores, target, torch.tensor(len(scores)), torch.tensor(len(target)), 5, "sum")
        )
        characters += len(target)
    last = [row for row in rows if "development_loss" in row][-1]
    assert last["step"] == 24
    assert last["development_loss"] == pytest.approx(nats / characters, rel=1e-4)


def test_utterances_too_short_for_their_text_are_left_out(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus", 6)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[2]["text"] = "abcd" * 50
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(recipe(manifest), tmp_path / "run", stop_after=1)
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert (first["utterances"], first["dropped"]) == (5, 1)


def test_a_damaged_checkpoint_is_named(manifest: Path, tmp_path: Path) -> None:
    train(recipe(manifest), tmp_path, stop_after=4)
    file = find_checkpoint(tmp_path) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load_checkpoint(tmp_path)


def test_only_the_newest_checkpoints_stay(manifest: Path, tmp_path: Path) -> None:
    train(recipe(manifest), tmp_path)
    steps = [int(path.name.removeprefix("step-")) for path in list_checkpoints(tmp_path)]
    assert steps == [24, 28, 30]
    assert find_checkpoint(tmp_path).name == "step-00000030"


def test_a_transcript_outside_the_alphabet_is_named(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus", 3, letters="xyz")
    with pytest.raises(ManifestError, match="alphabet"):
        train(recipe(manifest), tmp_path / "run")


def test_a_folder_without_checkpoints_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        load_checkpoint(tmp_path)


@contextmanager
def full_disk() -> Iterator[None]:
    """The kernel refuses to let any file grow beyond 20 kB, as a full disk does.

    No fixture, which would last until pytest has written to its own log, and that may be longer.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_checkpoint_intact(manifest: Path, tmp_path: Path) -> None:
    train(recipe(manifest), tmp_path, stop_after=4)
    before = {file: file.read_bytes() for file in find_checkpoint(tmp_path).iterdir()}
    with full_disk(), pytest.raises(CheckpointError, match="earlier checkpoints are intact"):
        train(recipe(manifest), tmp_path, resume=True)
    assert {file: file.read_bytes() for file in find_checkpoint(tmp_path).iterdir()} == before
    assert list((tmp_path / "checkpoints").glob(".*")) == []


def test_a_run_folder_that_cannot_be_written_offers_nothing_to_resume(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="choose another --output") as refusal:
        save_checkpoint(tmp_path / "file", 0, {}, {}, {}, keep=1)
    assert "--resume" not in str(refusal.value)


def test_learning_rate_warms_up_holds_and_decays() -> None:
    settings = Optimizer(
        steps=1000,
        learning_rate=2.0,
        warmup_steps=100,
        decay_start=0.5,
        final_learning_rate_share=0.1,
    )
    assert learning_rate(0, settings) == pytest.approx(0.02)
    assert learning_rate(99, settings) == learning_rate(500, settings) == 2.0
    assert learning_rate(750, settings) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert learning_rate(1000, settings) == pytest.approx(0.2)


def test_resume_needs_the_checkpoint_it_started_from_no_more(
    manifest: Path, tmp_path: Path
) -> None:
    train(recipe(manifest), tmp_path / "first", stop_after=1)
    model = {"features": {"context": 2}, "architecture": "initial"}
    checked = recipe(manifest, model={**model, "initial": str(tmp_path / "first")})
    train(checked, tmp_path / "whole", stop_after=4)
    train(checked, tmp_path / "halves", stop_after=2)
    shutil.rmtree(tmp_path / "first")
    halves = train(checked, tmp_path / "halves", resume=True, stop_after=4)
    whole = read_tensors(find_checkpoint(tmp_path / "whole"), "model")
    assert all(torch.equal(t, whole[name]) for name, t in read_tensors(halves, "model").items())
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        train(checked, tmp_path / "new")


def test_tensorboard_is_closed_also_where_training_fails(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Writer:
        closed = 0

        def add_scalar(self, key: str, value: float, step: int) -> None:
            assert not self.closed

        def close(self) -> None:
            self.closed += 1

    writers = [Writer(), Writer()]
    given = iter(writers)
    monkeypatch.setattr(run_log, "_tensorboard_writer", lambda *arguments: next(given))
    train(recipe(manifest), tmp_path / "whole", stop_after=1, tensorboard=True)
    monkeypatch.setattr(Session, "train_step", lambda self, step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(recipe(manifest), tmp_path / "failed", tensorboard=True)
    assert [writer.closed for writer in writers] == [1, 1]
