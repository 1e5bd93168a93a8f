"""What the sections of params.yaml are: typed, frozen, and without unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]


class ParamsSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Options(BaseModel):
    """The keys of a section that only one part reads, declared in the module of that part.

    A part ignores the keys of the others, so that params.yaml can hold the values of all of them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
