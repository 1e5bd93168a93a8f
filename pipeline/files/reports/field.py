"""What `edgeproof field` reports on one model in use."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section


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
    """

    of: str
    p_value: float
    alarm: bool
    population_stability: float
    medians: tuple[float, float | None] | None
    edges: list[float] | None
    field: list[int]
    test: list[int]


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


class FieldReport(Report):
    FILE: ClassVar = "field.json"

    model: str
    version: str
    model_sha256: str
    format: str
    runtime: str
    predictions: int
    labels: int
    test_accuracy: float
    test_images: int
    unreadable: list[str]
    accuracy: FieldAccuracy | NoLabels
    classes: list[FieldClass]
    drift: list[FieldDrift]
    # The smallest share of predictions that must drift to raise an alarm.
    least_drift: float
    rejection: FieldRejection | None = None
    sentences: list[str] = Field(default_factory=list)

    @property
    def folder(self) -> Path:
        name = f"{self.model}-{self.version}-{self.format}-{self.runtime}"
        return artifacts.REPORTS / "field" / name

    @property
    def alarms(self) -> list[FieldDrift]:
        return [test for test in self.drift if test.alarm]
