"""What `baseline` reports: the score of each baseline on the validation and test sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import ConfigDict, model_validator

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section


class BaselineScore(Section):
    """An accuracy with its 95 % interval, and the recall of each class.

    `metric` is the value of what problem.metric names, if that is not accuracy.
    """

    accuracy: float
    interval: tuple[float, float]
    per_class: dict[str, float]
    metric: float | None = None

    @property
    def goodness(self) -> float:
        return self.accuracy if self.metric is None else self.metric


class ErrorScore(Section):
    """The errors of a baseline that gives a number, in its unit; `error` is the mean absolute one.

    `interval` is its 95 % interval.
    """

    error: float
    interval: tuple[float, float]
    root_mean_square_error: float
    r_squared: float
    unit: str

    @property
    def goodness(self) -> float:
        return -self.error


class BaselineReport(Report):
    """`best` names the baseline that did best in validation. Each has a score on each split."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, BaselineScore | ErrorScore]
    PATH: ClassVar = artifacts.REPORTS / "baseline.json"

    best: str
    test_accuracy: float | None = None
    test_error: float | None = None

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[str, BaselineScore | ErrorScore]]) -> BaselineReport:
        """The report on `scores`, by split and by name of the baseline."""
        validation, test = scores["validation"], scores["test"]
        best = max(validation, key=lambda name: validation[name].goodness)
        score = test[best]
        figure = (
            {"test_accuracy": score.accuracy}
            if isinstance(score, BaselineScore)
            else {"test_error": score.error}
        )
        by_key = {
            f"{split}_{name}": score
            for split, by_name in scores.items()
            for name, score in by_name.items()
        }
        return cls.model_validate({"best": best, **figure, **by_key})

    @model_validator(mode="after")
    def _best_has_a_score(self) -> Self:
        if f"test_{self.best}" not in self.__pydantic_extra__:
            raise ValueError(f"test_{self.best} is missing")
        return self

    @property
    def test_score(self) -> BaselineScore | ErrorScore:
        """The score of the best baseline on the test set."""
        return self.__pydantic_extra__[f"test_{self.best}"]
