"""The task, and what the model must reach: the section `problem` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, ParamsSection

ACCURACY: Final = "accuracy"  # of the metrics, which serving/metric.py computes


class Problem(ParamsSection):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*$")]
    statement: str
    use: str
    limits: list[str]
    target: Annotated[float, Field(ge=0)]
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1"] = ACCURACY
    unit: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    coverage: Fraction | None = None
    max_error: Fraction | None = None

    @model_validator(mode="after")
    def _fits_the_answer(self) -> Self:
        if self.unit is None and self.target > 1:
            raise ValueError(
                f"target is {self.target:g}, and unit is null; expected a target from 0 to 1, or "
                "the unit of the number that the model gives"
            )
        if self.unit is not None and self.target == 0:
            raise ValueError("target is 0, an error that no model reaches; expected one above 0")
        if self.unit is not None and self.metric != ACCURACY:
            raise ValueError(
                f"metric is {self.metric}, but a number is judged by its mean absolute error; "
                "expected accuracy, which has no effect with a unit"
            )
        if self.unit is not None and self.max_error is not None:
            raise ValueError(
                f"max_error is {self.max_error:g}, the share of wrong answers, and a number is not "
                "right or wrong; expected null with a unit"
            )
        return self

    @property
    def promises(self) -> str:
        """What is promised of the answers, by the names of the keys."""
        values = {"coverage": self.coverage, "max_error": self.max_error}
        named = (f"problem.{name} is {value:g}" for name, value in values.items() if value)
        return " and ".join(named)
