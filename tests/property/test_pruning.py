"""Zeros stay zero: in training by any recipe, through a stop, in integers and in codebooks.

Recipes are drawn and trained by the training loop on a corpus of tones, with a look at the session
after every step.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import prunable_names
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.statistics import layer_matrices
from sparsespeech.quantization.calibrate import calibrate, trained_calibration
from sparsespeech.quantization.codebook_checkpoint import share_checkpoint
from sparsespeech.quantization.codebook_model import share_weights
from sparsespeech.quantization.codebook_retraining import CodebookRetraining
from sparsespeech.quantization.convert import convert
from sparsespeech.quantization.precision import Precision
from sparsespeech.training import session as session_module
from sparsespeech.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_tensors,
    select,
)
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, parse_recipe
from sparsespeech.training.session import Session
from tests.pruning_courses import SHAPES, STEPS, Course, courses, recipe_of
from tests.pruning_patterns import holds_pattern
from tests.random_checkpoints import (
    random_checkpoint,
    random_frames,
    trained_weights,
    write_checkpoint,
)
from tests.tone_corpus import tiny_recipe, write_corpus

# ---- a corpus, and a network that has been pruned before -------------------------------------


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus, its features and a checkpoint in the folder ``pruned``."""
    home = tmp_path_factory.mktemp("zeros")
    manifest = write_corpus(home / "corpus", 6)
    source = random_checkpoint(hidden=8, context=2, coefficients=26, labels=5, sparsity=0.3)
    plain = parse_recipe(tiny_recipe(manifest), "test").model_dump(mode="json")
    write_checkpoint(home / "pruned", source, plain, trained_weights(source))
    course = Course({"pruning": None}, pruned_before=False, stop=1, per_row=False)
    train(recipe_of(course, home), home / "first", stop_after=1)
    shutil.move(home / "first" / "features", home / "features")
    return home


@contextmanager
def new_run(home: Path) -> Iterator[Path]:
    """A run folder that knows the features of the corpus, for as long as it is needed."""
    with tempfile.TemporaryDirectory(dir=home) as name:
        shutil.copytree(home / "features", Path(name) / "features")
        yield Path(name)


# ---- what must hold --------------------------------------------------------------------------


class Watch:
    """Looks at a session before and after its steps; the next session may go on with it."""

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        """``start`` are masks that may only lose weights."""
        self._masks = dict(start)
        self.steps = 0

    def before_step(self, session: Session) -> None:
        """When masks have just changed, the step must not see what they prune."""
        assert session.masks is not None
        for name, mask in session.masks.masks.items():
            gone = mask == 0
            assert not session.average.values[name][gone].any()
            if session.masks.keeps_dense_weights:
                continue
            weight = session.model.get_parameter(name)
            assert not weight[gone].any()
            moments = session.optimizer.state.get(weight, {})
            for moment in (moments[key] for key in moments if key != "step"):
                assert not moment[gone].any()
            assert bool((mask <= self._masks.get(name, torch.ones_like(mask))).all())
            self._masks[name] = mask.clone()

    def after_step(self, session: Session) -> None:
        self.before_step(session)
        assert all(len(moments) == 3 for moments in session.optimizer.state.values())
        self.steps += 1


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    original = Session.train_step

    def train_step(self: Session, step: int) -> Any:
        watch.before_step(self)
        loss, incident = original(self, step)
        assert math.isfinite(loss)
        watch.after_step(self)
        return loss, incident

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "train_step", train_step)
        # How fast this machine is takes longer to find out than to train.
        patch.setattr(session_module, "peak_flops", lambda dtype, device: 1e9)
        yield


def assert_patterns(
    masks: Mapping[str, Tensor], recipe: Recipe, start: Mapping[str, Tensor]
) -> None:
    pruning = recipe.pruning
    assert pruning is not None
    for name, mask in masks.items():
        before = start.get(name, torch.ones_like(mask))
        parts = 4 if pruning.scope == "gate" and "directions" in name else 1
        for part, there in zip(mask.chunk(parts), before.chunk(parts), strict=True):
            assert holds_pattern(part, pruning.structure, there), name


def assert_zeros_in_integers(model: IntegerModel, masks: Mapping[str, Tensor]) -> None:
    stored = {name: m for layer in model.layers for name, m in layer_matrices(layer)}
    assert len(stored) == len(masks)
    assert any(matrix.nonzeros for matrix in stored.values())
    for name, matrix in stored.items():
        for word, meant in (
            ("forward.", "directions.0."),
            ("backward.", "directions.1."),
            ("input_weights", "weight_ih"),
            ("recurrent_weights", "weight_hh"),
            (".weights", ".weight"),
        ):
            name = name.replace(word, meant)
        kept = masks[name].numpy() > 0
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
        assert kept[rows, matrix.column].all(), name


def assert_zeros_in_codebooks(
    checkpoint: Checkpoint, output: Path, masks: Mapping[str, Tensor]
) -> Checkpoint:
    with Progress(disable=True) as progress:
        share_checkpoint(
            checkpoint,
            output,
            4,
            initialisation="optimal",
            retraining=CodebookRetraining(2, 0.01),
            features=output / "features",
            progress=progress,
        )
    shared = load_checkpoint(output)
    for name, mask in masks.items():
        weight = shared.weights[name]
        assert not weight[mask == 0].any(), name
        assert weight.unique().numel() <= 5
    return shared


def integers_of(checkpoint: Checkpoint, recipe: Recipe, *, per_row: bool) -> IntegerModel:
    ranges = trained_calibration(checkpoint)
    if ranges is None:
        ranges = calibrate(build_model(checkpoint), [random_frames(0, 20, 26)])
    trained = recipe.fixed_point
    return convert(
        checkpoint, ranges, trained.precision if trained else Precision(per_row=per_row)
    ).model


def train_watched(
    recipe: Recipe, run: Path, start: Mapping[str, Tensor], stops: tuple[int | None, ...]
) -> Checkpoint:
    """Sessions up to each of ``stops``; each but the first goes on from the last checkpoint."""
    watch = Watch(start)
    with watched(watch):
        for stop in stops:
            train(recipe, run, resume=True, stop_after=stop)
    assert watch.steps == STEPS
    return load_checkpoint(run)


def check_course(course: Course, home: Path, *, compares: bool) -> None:
    """``compares``: a run that never stopped must end with the same bits."""
    recipe = recipe_of(course, home)
    assert recipe.pruning is not None
    start: dict[str, Tensor] = {}
    if course.pruned_before and recipe.pruning.keep_zeros:
        weights = load_checkpoint(home / "pruned").weights
        start = {name: (w != 0).float() for name, w in weights.items() if w.ndim == 2}
    with new_run(home) as run:
        checkpoint = train_watched(recipe, run, start, (course.stop, None))
        stored = select(read_tensors(checkpoint.path, "model"), "masks")
        masks = {name: mask.float() for name, mask in stored.items()}
        assert set(masks) == set(prunable_names(build_model(checkpoint)))
        assert not any(bool(checkpoint.weights[n][mask == 0].any()) for n, mask in masks.items())
        kept = sum(float(mask.sum()) for mask in masks.values())
        assert kept < 0.7 * sum(mask.numel() for mask in masks.values())
        assert_patterns(masks, recipe, start)
        integers = integers_of(checkpoint, recipe, per_row=course.per_row)
        assert_zeros_in_integers(integers, masks)
        assert_zeros_in_integers(share_weights(integers, 4).model, masks)
        shared = assert_zeros_in_codebooks(checkpoint, run / "shared", masks)
        assert_zeros_in_integers(integers_of(shared, recipe, per_row=False), masks)
        if compares:
            with new_run(home) as whole:
                other = train_watched(recipe, whole, start, (None,))
                for file in ("model.safetensors", "optimizer.safetensors"):
                    one, two = ((c.path / file).read_bytes() for c in (checkpoint, other))
                    assert one == two, file


@given(course=courses(SHAPES))
@settings(max_examples=6)
def test_zeros_stay_zero(home: Path, course: Course) -> None:
    check_course(course, home, compares=False)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["shape"]))
@given(data=st.data())
@settings(max_examples=12)
def test_zeros_stay_zero_under_each_shape(
    home: Path, shape: dict[str, Any], data: st.DataObject
) -> None:
    check_course(data.draw(courses([shape])), home, compares=True)
