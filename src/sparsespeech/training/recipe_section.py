"""What all sections of a recipe share: unknown keys are errors, values are checked and frozen."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class RecipeSection(BaseModel):
    """Base of the sections; other packages define the sections of their own subject."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
