"""What `edgeproof field` reports on one model in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import numpy as np
from pydantic import ConfigDict, Field

from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.report import Report, Section, has_key


class FieldAccuracy(Section):
    """The accuracy of labelled predictions, and its difference from that of the test set.

    `labels_needed` is None if the labels are enough, or if no number of them is.
    """

    verdict: Literal["holds", "worse", "open"]
    field_accuracy: float
    interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    max_accuracy_drop: float
    labels_needed: int | None


class NoLabels(Section):
    verdict: Literal["no labels"]
    max_accuracy_drop: float
    labels_needed: int | None


class FieldError(Section):
    """The mean absolute error of labelled predictions, and its difference from that of the test.

    All are in the unit. `labels_needed` is as of an accuracy.
    """

    verdict: Literal["holds", "worse", "open"]
    field_error: float
    interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    max_increase: float
    labels_needed: int | None


class NoLabelsOfNumbers(Section):
    verdict: Literal["no labels"]
    max_increase: float
    labels_needed: int | None


class FieldCoverage(Section):
    """The true numbers inside the interval, `half_width` to each side, and the share promised.

    `broken` if they are significantly fewer.
    """

    half_width: float
    inside: int
    share: float
    interval: tuple[float, float]
    promised: float
    p_value: float
    broken: bool


class LabelScore(Section):
    """One of several labels: the images that have it, are given it, and both.

    A figure is None where nothing was counted. Intervals are those of 95 %.
    """

    images: int
    predicted: int
    right: int
    precision: float | None
    precision_interval: tuple[float, float] | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    f1: float | None
    f1_interval: tuple[float, float] | None


class FieldLabel(Section):
    """A label in the field and in the test. `p_value` is None if it occurs in only one of them."""

    label: str
    field: LabelScore
    test: LabelScore
    p_value: float | None
    suffers: bool


class FieldClass(Section):
    """A class in the field and in the test. `p_value` is None if it occurs in only one of them."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    name: str = Field(alias="class")
    labels: int
    right: int
    test_images: int
    test_right: int
    p_value: float | None
    suffers: bool


class FieldDrift(Section):
    """A property of inputs or predictions, counted in bins in the field and in the test.

    `medians` are those of the field and of the test. A predicted class has no medians and no edges.
    Of several labels, whose counts overlap, `totals` are the predictions in the field and in the
    test.
    """

    of: str
    p_value: float
    alarm: bool
    population_stability: float
    medians: tuple[float, float | None] | None
    edges: list[float] | None
    field: list[int]
    test: list[int]
    totals: tuple[int, int] | None = None

    @property
    def shares(self) -> tuple[Array, Array]:
        """Of each bin (B,), in the field and in the test."""
        field, test = self.totals or (sum(self.field), sum(self.test))
        return np.array(self.field) / field, np.array(self.test) / test


class FieldDay(Section):
    """The predictions of one day, in UTC."""

    day: str
    predictions: int
    rejected: int


class FieldRejection(Section):
    """The predictions that are none of the classes, and their share, with a 95 % interval.

    `expected_share` is that of the test by the card, None if it names no coverage. The field
    `departs` from it if the difference is significant.
    """

    rejected: int
    share: float
    interval: tuple[float, float]
    expected_share: float | None
    p_value: float | None
    departs: bool
    days: list[FieldDay]


class InUse(Report):
    """A FieldReport, or a NumberFieldReport if the model gives a number."""

    FILE: ClassVar = "field.json"

    @classmethod
    def parse(cls, data: bytes, source: Path) -> Self:
        if cls is not InUse:
            return super().parse(data, source)
        kind = NumberFieldReport if has_key(data, "test_error") else FieldReport
        return cast(Self, kind.parse(data, source))

    model: str
    version: str
    model_sha256: str
    format: str
    runtime: str
    predictions: int
    labels: int
    test_images: int
    unreadable: list[str]
    drift: list[FieldDrift]
    # The smallest share of predictions that must drift to raise an alarm.
    least_drift: float
    sentences: list[str] = Field(default_factory=list)

    @property
    def verdict(self) -> str:
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        name = f"{self.model}-{self.version}-{self.format}-{self.runtime}"
        return artifacts.REPORTS / "field" / name

    @property
    def alarms(self) -> list[FieldDrift]:
        return [test for test in self.drift if test.alarm]


class FieldReport(InUse):
    """Answers that are right or wrong; `score` is what the share of right ones is called."""

    score: str
    test_accuracy: float
    accuracy: FieldAccuracy | NoLabels
    classes: list[FieldClass]  # of one class of several
    per_label: list[FieldLabel] = Field(default_factory=list)  # of several labels at once
    rejection: FieldRejection | None = None

    @property
    def verdict(self) -> str:
        return self.accuracy.verdict

    @property
    def names(self) -> list[str]:
        return [row.name for row in self.classes] or [row.label for row in self.per_label]

    @property
    def macro_f1(self) -> float | None:
        """The mean F1 of the labels that occur in the field; None without any."""
        return _mean([row.field.f1 for row in self.per_label])

    @property
    def test_macro_f1(self) -> float | None:
        """That of the test, over the same labels."""
        return _mean([row.test.f1 for row in self.per_label if row.field.f1 is not None])


class NumberFieldReport(InUse):
    """Numbers: mean absolute errors in the `unit`.

    `coverage` is None without interval or labels.
    """

    unit: str
    test_error: float
    error: FieldError | NoLabelsOfNumbers
    coverage: FieldCoverage | None

    @property
    def verdict(self) -> str:
        return self.error.verdict


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
