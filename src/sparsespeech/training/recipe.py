"""A training recipe: one YAML file that fixes everything a run depends on.

Data, model, optimizer, learning-rate schedule, pruning and quantization. Unknown keys and
impossible values are errors that name the key.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparsespeech.decoding.alphabet import ENGLISH_SYMBOLS
from sparsespeech.errors import ModelFileError, RecipeError
from sparsespeech.features.mfcc import MfccConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Section):
    """One training manifest.

    ``weight`` is how often each utterance occurs in an epoch on average (0.5: every other
    epoch); the source leaves the training with the first epoch that begins at or after ``until``
    (share of all steps).
    """

    manifest: str
    split: str | None = None
    weight: Positive = 1.0
    until: Share = 1.0


class Data(_Section):
    """Corpora. ``$NAME`` and ``${NAME}`` in paths are environment variables."""

    train: Annotated[list[Source], Field(min_length=1)]
    development: Source
    symbols: str = ENGLISH_SYMBOLS
    max_duration_s: Positive = 20.0
    batch_frames: Count = 6000
    batch_utterances: Count = 64
    bucket_noise: Share = 0.1


class Augmentation(_Section):
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


class Model(_Section):
    """DeepSpeech of width ``hidden`` (2048 is Table I). ``initial``: checkpoint to start from."""

    architecture: Literal["deepspeech"] = "deepspeech"
    hidden: Annotated[int, Field(ge=1, le=8192)] = 2048
    bidirectional: bool = True
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    features: dict[str, Any] = Field(default_factory=dict)
    initial: str | None = None


class Optimizer(_Section):
    """AdamW on float32 weights; bf16 autocast for the matrix products."""

    steps: Count
    learning_rate: Positive = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    decay_start: Share = 0.5
    final_learning_rate_share: Share = 0.01
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-5
    betas: tuple[Share, Share] = (0.9, 0.98)
    gradient_clip: Positive = 5.0
    average_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.998
    bfloat16: bool = True


class Pruning(_Section):
    """Gradual magnitude pruning; ``start`` and ``end`` are shares of all steps.

    ``exceptions`` maps regular expressions over parameter names to their own final sparsity.
    """

    final_sparsity: Sparsity
    initial_sparsity: Sparsity = 0.0
    start: Share = 0.25
    end: Share = 0.6
    updates: Count = 80
    shape: Literal["cubic", "linear"] = "cubic"
    exceptions: dict[str, Sparsity] = Field(
        default_factory=lambda: {r"^layer1\.": 0.85, r"^layer6\.": 0.0}
    )

    def ramp(self, steps: int) -> tuple[int, int]:
        """First and last step of the ramp in a run of ``steps``."""
        return round(self.start * steps), round(self.end * steps)


class Quantization(_Section):
    """Defaults of ``sparsespeech quantize`` for checkpoints of this recipe."""

    calibration_utterances: Count = 100
    per_row: bool = False


class Logging(_Section):
    """Steps between checkpoints, development passes and log lines."""

    checkpoint_every: Count = 200
    evaluate_every: Count = 500
    evaluate_utterances: Count = 150
    log_every: Count = 20
    keep_checkpoints: Count = 3


class Recipe(_Section):
    """The whole recipe."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data
    model: Model = Model()
    optimizer: Optimizer
    augmentation: Augmentation | None = Augmentation()
    pruning: Pruning | None = None
    quantization: Quantization = Quantization()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.pruning is not None:
            if not self.pruning.start < self.pruning.end:
                raise ValueError(
                    f"pruning.start {self.pruning.start} must be below "
                    f"pruning.end {self.pruning.end}"
                )
            first, last = self.pruning.ramp(self.optimizer.steps)
            if not first < last < self.optimizer.steps:
                raise ValueError(
                    f"the pruning ramp is steps {first} to {last} of {self.optimizer.steps}: it "
                    f"must hold at least one step and end before the last one"
                )
            if self.optimizer.decay_start < self.pruning.end:
                raise ValueError(
                    f"optimizer.decay_start {self.optimizer.decay_start} is before pruning.end "
                    f"{self.pruning.end}: the learning rate must not decay during the ramp"
                )
        return self

    def feature_config(self) -> MfccConfig:
        """Feature constants with the recipe's changes; raises RecipeError on unknown keys."""
        try:
            return MfccConfig(**self.model.features)
        except (TypeError, ModelFileError) as error:
            raise RecipeError(f"model.features: {error}") from None


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
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{name_or_path}: not YAML: {reason}") from None
    if not isinstance(values, dict):
        raise RecipeError(
            f"{name_or_path}: a recipe is a YAML mapping, got {type(values).__name__}"
        )
    for override in overrides or []:
        _set_key(values, override)
    return parse_recipe(values, name_or_path)


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Check plain values; raises RecipeError with one line for the first problem."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"{where}: unknown key {key!r}") from None
        message = first["msg"].removeprefix("Value error, ")
        shown = "" if first["type"] == "value_error" else f", got {first['input']!r}"
        raise RecipeError(f"{where}: {key}: {message}{shown}") from None
    recipe.feature_config()
    return recipe


def _set_key(values: dict[str, Any], override: str) -> None:
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
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r}: the value is not YAML") from None


def expand_path(text: str) -> Path:
    """Path with environment variables filled in; raises RecipeError naming one that is not set."""
    expanded = os.path.expanduser(os.path.expandvars(text))
    if "$" in expanded:
        raise RecipeError(f"path {text!r}: set the environment variable it names first")
    return Path(expanded)
