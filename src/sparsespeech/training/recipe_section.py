"""What all sections of a recipe share: unknown keys are errors, values are checked and frozen."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1, le=2**53)]


class RecipeSection(BaseModel):
    """Base of the sections; other packages define the sections of their own subject."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def first_problem(error: ValidationError, section: str = "") -> str:
    """``key: what is wrong, got VALUE`` of the first problem of a recipe, or of its ``section``."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in (section, *first["loc"]) if part != "") or "recipe"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    shown = "" if first["type"] == "value_error" else f", got {first['input']!r}"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}{shown}"
