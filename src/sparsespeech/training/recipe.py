"""A training recipe: one YAML file that fixes everything a run depends on.

Data, model, optimizer, learning-rate schedule, pruning, distillation, fixed-point retraining and
what to do when a step fails. Unknown keys and impossible values are errors that name the key.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from sparsespeech.decoding.alphabet import ENGLISH_SYMBOLS
from sparsespeech.errors import RecipeError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.pruning.repeat_settings import RepeatUntil
from sparsespeech.pruning.settings import Pruning
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.mfcc_settings import parse_mfcc_config
from sparsespeech.training.recipe_section import (
    Count,
    Decay,
    Positive,
    RecipeSection,
    Share,
    first_problem,
)


class Source(RecipeSection):
    """One training manifest.

    ``weight`` is how often each utterance occurs in an epoch on average (0.5: every other
    epoch); the source leaves the training with the first epoch that begins at or after ``until``
    (share of all steps).
    """

    manifest: str
    split: str | None = None
    weight: Positive = 1.0
    until: Share = 1.0


class Data(RecipeSection):
    """Corpora. ``$NAME`` and ``${NAME}`` in paths are environment variables.

    A batch has at most ``batch_utterances`` utterances and ``batch_frames`` frames with padding;
    with more than ``batch_multiple`` utterances it has a multiple of that many. The training
    kernels compute 16 utterances at once, so a batch of 8 long ones wastes half of their work:
    let ``batch_frames`` hold 16 of the longest. ``sorted_first_epoch`` begins with the shortest
    utterances, which a network from scratch learns from best. One that goes on from another has
    no need of it, so None sorts only without ``model.initial``.
    """

    train: Annotated[list[Source], Field(min_length=1)]
    development: Source
    symbols: str = ENGLISH_SYMBOLS
    max_duration_s: Positive = 20.0
    batch_frames: Count = 6000
    batch_utterances: Count = 64
    batch_multiple: Count = 16
    sorted_first_epoch: bool | None = None
    bucket_noise: Share = 0.1


class Augmentation(RecipeSection):
    """SpecAugment and relatives on the features; see ``training/augmentation.py``.

    Starts at step ``start`` and ends before the last ``off_at_end`` share of the steps.
    """

    start: Annotated[int, Field(ge=0)] = 0
    off_at_end: Share = 0.05
    frequency_masks: Annotated[int, Field(ge=0)] = 2
    frequency_mask_width: Annotated[int, Field(ge=0)] = 4
    time_masks: Annotated[int, Field(ge=0)] = 2
    time_mask_frames: Annotated[int, Field(ge=0)] = 20
    time_mask_share: Share = 0.2
    time_stretch: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    frequency_warp: Annotated[float, Field(ge=0.0, le=0.3)] = 0.1
    gain_db: Annotated[float, Field(ge=0.0, le=40.0)] = 6.0


class Model(RecipeSection):
    """DeepSpeech of width ``hidden`` (2048 is Table I). ``initial``: checkpoint to start from.

    ``architecture: lstmp`` is three projected LSTM layers of ``hidden`` cells, half as many
    outputs, with ``peephole`` connections or without; the ESE deck's network is that with
    ``hidden: 2048``, ``bidirectional: false`` and features of 153 inputs. ``architecture:
    initial`` takes the layers of the checkpoint instead.
    """

    architecture: Literal["deepspeech", "lstmp", "initial"] = "deepspeech"
    hidden: Annotated[int, Field(ge=1, le=8192)] = 2048
    bidirectional: bool = True
    peephole: bool = False
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    features: dict[str, Any] = Field(default_factory=dict)
    initial: str | None = None


class Optimizer(RecipeSection):
    """AdamW on float32 weights; bf16 autocast for the matrix products."""

    steps: Count
    learning_rate: Positive = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    decay_start: Share = 0.5
    final_learning_rate_share: Share = 0.01
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-5
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    gradient_clip: Positive = 5.0
    average_decay: Decay = 0.998
    bfloat16: bool = True


class Quantization(RecipeSection):
    """Defaults of ``sparsespeech quantize`` for checkpoints of this recipe."""

    calibration_utterances: Count = 100
    per_row: bool = False


class Distillation(RecipeSection):
    """Learn from a frozen checkpoint too; see ``training/distillation.py``.

    ``weight`` a of the loss (1 - a) CTC + a T^2 KL at ``temperature`` T. Frames that the teacher
    calls blank with a probability above 0.99 count ``blank_frame_weight`` times; 0.1 keeps the
    many of them from drowning the others.
    """

    teacher: str
    weight: Share = 0.5
    temperature: Positive = 1.0
    blank_frame_weight: Share = 1.0


class Policy(RecipeSection):
    """What happens when a step goes wrong; see ``training/policy.py``.

    A step whose loss or gradient is not finite is left out, and ``stop_after_skipped`` of them
    in a row end the run; without ``skip_non_finite`` the first one does. A gradient norm above
    ``explosion_factor`` times the running median is clipped, as every norm is, and reported.
    """

    skip_non_finite: bool = True
    stop_after_skipped: Count = 10
    explosion_factor: Annotated[float, Field(gt=1.0)] = 10.0


class Logging(RecipeSection):
    """Steps between checkpoints, development passes and log lines."""

    checkpoint_every: Count = 200
    evaluate_every: Count = 500
    evaluate_utterances: Count = 150
    log_every: Count = 20
    keep_checkpoints: Count = 3


class Recipe(RecipeSection):
    """The whole recipe."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data
    model: Model = Model()
    optimizer: Optimizer
    augmentation: Augmentation | None = Augmentation()
    pruning: Pruning | None = None
    repeat_until: RepeatUntil | None = None
    distillation: Distillation | None = None
    fixed_point: FixedPoint | None = None
    quantization: Quantization = Quantization()
    policy: Policy = Policy()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.pruning is not None:
            steps = self.optimizer.steps
            if self.pruning.unit == "share":  # how long an epoch is, only the corpora say
                self.pruning.check_run(steps, steps_per_epoch=1)
            self.pruning.check_decay(self.optimizer.decay_start)
            if self.repeat_until is not None:
                self.pruning.check_rounds()
        if self.fixed_point is not None:
            self.fixed_point.check_run(self.optimizer.steps)
        return self

    @property
    def sorts_first_epoch(self) -> bool:
        """Whether the first epoch goes from short to long."""
        if self.data.sorted_first_epoch is None:
            return self.model.initial is None
        return self.data.sorted_first_epoch

    def feature_config(self) -> MfccConfig:
        """Feature constants with the recipe's changes; raises RecipeError for impossible ones."""
        try:
            return parse_mfcc_config(self.model.features)
        except ValueError as error:
            raise RecipeError(f"model.{error}") from None


def bundled_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("sparsespeech") / "recipes"
    return sorted(
        item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")
    )


def load_recipe(name_or_path: str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file or a bundled recipe; ``overrides`` are ``section.key=YAML value``.

    Raises RecipeError naming file and key.
    """
    path = Path(name_or_path)
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path}: not text in UTF-8, so not a recipe") from None
    elif name_or_path in bundled_recipes():
        text = (resources.files("sparsespeech") / "recipes" / f"{name_or_path}.yaml").read_text(
            encoding="utf-8"
        )
    else:
        raise RecipeError(
            f"no recipe {name_or_path!r}: neither a file nor one of the bundled "
            f"recipes ({', '.join(bundled_recipes())})"
        )
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{name_or_path}: not YAML: {reason}") from None
    if not isinstance(values, dict):
        raise RecipeError(
            f"{name_or_path}: a recipe is a YAML mapping, got {type(values).__name__}"
        )
    for override in overrides or []:
        set_key(values, override)
    return parse_recipe(values, name_or_path)


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Check plain values; raises RecipeError with one line for the first problem."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{where}: {first_problem(error)}") from None
    recipe.feature_config()
    return recipe


def set_key(values: dict[str, Any], override: str) -> None:
    """Change plain ``values`` of a recipe by ``section.key=YAML value``; raises RecipeError."""
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"--set wants section.key=value, got {override!r}")
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override!r}: {section} is not a section of the recipe")
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise RecipeError(f"--set {override!r}: the value is not YAML") from None


def expand_path(text: str) -> Path:
    """Path with environment variables filled in; raises RecipeError naming one that is not set."""
    expanded = os.path.expanduser(os.path.expandvars(text))
    if "$" in expanded:
        raise RecipeError(f"path {text!r}: set the environment variable it names first")
    if "\0" in expanded:
        raise RecipeError(f"path {text!r}: no file has the character NUL in its name")
    return Path(expanded)
