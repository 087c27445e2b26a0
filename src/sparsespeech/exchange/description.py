"""What a state dict cannot say about its network, and a person must.

None of it has a default that could be silently wrong: a ReLU clipped elsewhere, a blank in another
class or features of another scale give a network that runs and recognises nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from sparsespeech.errors import ExchangeError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.model_file import limits
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.training.mfcc_settings import parse_mfcc_config
from sparsespeech.training.recipe_section import RecipeSection, first_problem


def _expected(what: str) -> WrapValidator:
    """One message for a person, where pydantic has one for each branch of a union."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(f"expected {what}, got {shown(value)}") from None

    return WrapValidator(check)


Clip = Annotated[float, Field(gt=0.0, le=limits.CLIP)] | Literal["none"]


class Normalisation(RecipeSection):
    """``(frame - mean) / deviation``: one number for all F coefficients, or a list of F."""

    mean: float | list[float]
    deviation: float | list[float]


class Description(RecipeSection):
    """The file of ``--describe``; options of the command replace single entries.

    ``layers``: modules from input to output; default: the order of a torch file. ``clip``: where
    the ReLU after each hidden nn.Linear is clipped, ``none`` for a plain ReLU, or one entry a
    module. ``labels``: symbols in class order without the blank. ``blank``: its class.
    ``features``: constants of MfccConfig that differ from the MAU paper's.
    """

    layers: Annotated[list[str], Field(min_length=1)] | None = None
    ignore: list[str] = Field(default_factory=list)
    clip: Annotated[
        Clip | dict[str, Clip] | None,
        _expected(f"a number above 0 and up to {limits.CLIP:g}, none, or one of them a module"),
    ] = None
    labels: Annotated[str | list[str] | None, _expected("text or a list of symbols")] = None
    blank: Annotated[
        Literal["first", "last"] | Annotated[int, Field(ge=0)] | None,
        _expected("first, last or the number of a class"),
    ] = None
    features: dict[str, Any] = Field(default_factory=dict)
    normalisation: Annotated[
        Normalisation | Literal["none"] | None,
        _expected("none, or mean and deviation, each a number or a list of them"),
    ] = None

    def feature_config(self) -> MfccConfig:
        """The feature constants; raises ExchangeError for impossible ones."""
        try:
            return parse_mfcc_config(self.features)
        except ValueError as error:
            raise ExchangeError(str(error)) from None

    def clip_of(self, module: str) -> float:
        """Clip of the ReLU after the nn.Linear ``module``; raises ExchangeError if none is given.

        A plain ReLU is one that is clipped beyond all activations.
        """
        clip = self.clip.get(module) if isinstance(self.clip, dict) else self.clip
        if clip is None:
            raise _unsaid(
                f"where the ReLU after the nn.Linear {module!r} is clipped",
                "--clip 20, or --clip none for a plain ReLU",
            )
        return limits.CLIP if clip == "none" else float(clip)

    def symbols(self, classes: int) -> tuple[str, ...]:
        """The labels, one fewer than ``classes``; raises ExchangeError."""
        if self.labels is None:
            raise _unsaid(
                f"the {classes - 1} symbols of the last layer's {classes} outputs",
                "--labels, all symbols in class order without the blank",
            )
        labels = tuple(self.labels)
        if len(labels) != classes - 1 or len(set(labels)) != len(labels) or "" in labels:
            raise ExchangeError(
                f"labels: {len(set(labels) - {''})} different symbols {list(labels)}, expected "
                f"{classes - 1}, since the last layer has {classes} outputs and one is the blank"
            )
        return labels

    def blank_class(self, classes: int) -> int:
        """Class of the CTC blank in the foreign network; raises ExchangeError."""
        if self.blank is None:
            raise _unsaid(
                "which class is the CTC blank",
                "--blank first, which torch's ctc_loss takes unless told otherwise, or "
                "--blank last",
            )
        named = {"first": 0, "last": classes - 1}
        number = named[self.blank] if isinstance(self.blank, str) else self.blank
        if number >= classes:
            raise ExchangeError(
                f"blank: class {number}, but the last layer has {classes} outputs: 0 to "
                f"{classes - 1}"
            )
        return number

    def statistics(self, coefficients: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation float64[F] of the features; raises ExchangeError."""
        given = self.normalisation
        if given is None:
            raise _unsaid(
                "how features are normalised",
                "--describe FILE with 'normalisation: {mean: ..., deviation: ...}', or "
                "--normalisation none",
            )
        if given == "none":
            return np.zeros(coefficients), np.ones(coefficients)
        mean = _vector("mean", given.mean, coefficients)
        deviation = _vector("deviation", given.deviation, coefficients)
        if not (deviation > 0).all():
            raise ExchangeError(
                f"normalisation: deviation must be above 0, got {deviation.min():g} for "
                f"coefficient {int(deviation.argmin())}"
            )
        return mean, deviation


def read_description(path: Path | None, changes: dict[str, Any]) -> Description:
    """The YAML file ``path``, if any, with the entries of ``changes`` that are not None.

    Raises ExchangeError naming file and key.
    """
    values: Any = {}
    where = "options" if path is None else str(path)
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise ExchangeError(f"{path}: cannot read as YAML: {error}") from None
        if not isinstance(values, dict):
            raise ExchangeError(
                f"{path}: a description is a YAML mapping, got {type(values).__name__}"
            )
    values = values | {key: value for key, value in changes.items() if value is not None}
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        unknown = error.errors()[0]["type"] == "extra_forbidden"
        known = f"; known: {', '.join(Description.model_fields)}" if unknown else ""
        raise ExchangeError(f"{where}: {first_problem(error)}{known}") from None


def _unsaid(what: str, option: str) -> ExchangeError:
    return ExchangeError(f"a state dict does not say {what}: give {option}")


def _vector(name: str, value: float | list[float], coefficients: int) -> NDArray[np.float64]:
    if isinstance(value, list) and len(value) != coefficients:
        raise ExchangeError(
            f"normalisation.{name}: got {len(value)} numbers, expected one or "
            f"{coefficients}, one a coefficient"
        )
    return np.broadcast_to(np.asarray(value, dtype=np.float64), coefficients).copy()
