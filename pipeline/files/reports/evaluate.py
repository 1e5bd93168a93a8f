"""What `evaluate` reports: the trained model on the test set, against the target and baseline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Self, cast

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section, has_key
from serving.metric import ACCURACY, METRICS

MEAN_ERROR = "mean absolute error"


class GateName(StrEnum):
    """The gates between a model and its bundle; those of `evaluate` come first."""

    TARGET = "target"
    BASELINE = "baseline"
    CLASSES = "classes"
    EXPORT = "export"
    VERIFY = "verify"
    EMBED = "embed"


class AnyGate(Section):
    """Whether the model reaches the target and beats the baseline.

    `failures` has for each of these gates the sentences on its failures; none if it is passed.
    """

    target: float
    target_reached: bool
    baseline_p_value: float
    baseline_beaten: bool
    failures: dict[str, list[str]]

    @property
    def sentences(self) -> list[str]:
        return [sentence for sentences in self.failures.values() for sentence in sentences]

    @property
    def passed(self) -> bool:
        return not self.sentences

    @property
    def baseline_not_shown(self) -> bool:
        """The model is better than the baseline, but there are too few images to show it."""
        return not self.baseline_beaten and not self.failures[GateName.BASELINE]


class Gate(AnyGate):
    """Also whether it predicts every class."""

    baseline_accuracy: float
    never_predicted: list[str]  # classes of the test set


class NumberGate(AnyGate):
    baseline_error: float


class MetricScore(Section):
    """The metric that problem.metric names, if it is not accuracy, of the model and the baseline.

    Its p-value is that of a randomization test.
    """

    name: str
    value: float
    interval: tuple[float, float]  # 95 %
    baseline: float

    @property
    def words(self) -> str:
        return METRICS[self.name].words


class ClassScore(Section):
    images: int
    precision: float
    recall: float
    recall_interval: tuple[float, float]  # 95 %
    f1: float


class GroupScore(Section):
    """How many of a group's test images are answered right.

    `p_value`: how likely chance alone makes some group fall as far behind the others as this one.
    """

    right: int
    images: int
    accuracy: float
    interval: tuple[float, float]  # 95 %
    p_value: float


class GroupError(Section):
    """The mean absolute error on a group's test images, in the unit of the number."""

    images: int
    error: float
    interval: tuple[float, float]  # 95 %


class FoldScore(Section):
    """The metric of answers outside the test set, each by a model that never saw the example.

    With a unit it is the mean absolute error.
    """

    name: str = ACCURACY
    unit: str | None = None
    folds: int
    images: int
    value: float
    interval: tuple[float, float]  # 95 %

    @property
    def words(self) -> str:
        """As the figure is called, so that it is not taken for that of one model."""
        measured = METRICS[self.name].words if self.unit is None else MEAN_ERROR
        return f"cross-validated {measured} of the recipe"


class Evaluation(Report):
    """An EvaluationReport, or a NumberReport if the model gives a number."""

    PATH: ClassVar = artifacts.REPORTS / "evaluate.json"

    model_sha256: str
    test_images: int
    # The least probability with which each of several labels at once holds
    holds_from: tuple[float, ...] | None = None

    @classmethod
    def parse(cls, data: bytes, source: Path) -> Self:
        if cls is not Evaluation:
            return super().parse(data, source)
        kind = NumberReport if has_key(data, "test_error") else EvaluationReport
        return cast(Self, kind.parse(data, source))

    @property
    def judged(self) -> AnyGate:
        raise NotImplementedError

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that `dvc metrics` compares between experiments."""
        raise NotImplementedError

    def save_metrics(self) -> None:
        artifacts.save_json(artifacts.metrics("evaluate"), self.metrics)


class EvaluationReport(Evaluation):
    # The figures that `dvc metrics` compares between experiments, beside the baseline's accuracy.
    METRICS: ClassVar = {
        "test_accuracy",
        "balanced_accuracy",
        "macro_f1",
        "worst_recall",
        "test_loss",
        "test_calibration_error",
    }

    test_accuracy: float
    test_accuracy_interval: tuple[float, float]
    balanced_accuracy: float  # the mean recall of the classes
    macro_f1: float  # the mean F1 of the classes
    worst_recall: float
    test_loss: float
    test_calibration_error: float  # the expected calibration error
    micro_f1: float | None = None  # of several labels at once
    gate: Gate
    metric: MetricScore | None = None  # if it is not accuracy
    per_class: dict[str, ClassScore]
    per_group: dict[str, GroupScore] | None = None  # with preprocess.group; the worst first
    folds: FoldScore | None = None  # with evaluate.folds

    @property
    def judged(self) -> Gate:
        return self.gate

    @property
    def score(self) -> MetricScore:
        """What the target and the baseline are compared with."""
        return self.metric or MetricScore(
            name=ACCURACY,
            value=self.test_accuracy,
            interval=self.test_accuracy_interval,
            baseline=self.gate.baseline_accuracy,
        )

    @property
    def metrics(self) -> dict[str, float]:
        return {
            **self.model_dump(include=self.METRICS),
            "baseline_test_accuracy": self.gate.baseline_accuracy,
        }


class NumberReport(Evaluation):
    """Errors of a model that gives a number, in its unit: `test_error` is the mean absolute one.

    `r_squared` is the share of the variance of the test set that the answers explain.
    """

    unit: str
    test_error: float
    test_error_interval: tuple[float, float]
    root_mean_square_error: float
    root_mean_square_error_interval: tuple[float, float]
    r_squared: float
    r_squared_interval: tuple[float, float]
    gate: NumberGate
    per_group: dict[str, GroupError] | None = None  # with preprocess.group; the worst first

    @property
    def judged(self) -> NumberGate:
        return self.gate

    @property
    def metrics(self) -> dict[str, float]:
        return {
            "test_error": self.test_error,
            "root_mean_square_error": self.root_mean_square_error,
            "r_squared": self.r_squared,
            "baseline_test_error": self.gate.baseline_error,
        }


AnyEvaluation = EvaluationReport | NumberReport
