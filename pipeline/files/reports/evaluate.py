"""What `evaluate` reports: the trained model on the test set, against the target and baseline."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section


class Gate(Section):
    """Whether the model reaches the target, beats the baseline and predicts every class.

    `failures` has for each of these gates the sentences on its failures; none if it is passed.
    """

    target: float
    target_reached: bool
    baseline_accuracy: float
    baseline_p_value: float
    baseline_beaten: bool
    never_predicted: list[str]  # classes of the test set
    failures: dict[str, list[str]]

    @property
    def sentences(self) -> list[str]:
        return [sentence for sentences in self.failures.values() for sentence in sentences]

    @property
    def passed(self) -> bool:
        return not self.sentences


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


class FoldScore(Section):
    """How many examples outside the test set are right, each by a model that never saw it."""

    folds: int
    images: int
    right: int
    accuracy: float
    interval: tuple[float, float]  # 95 %


class EvaluationReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "evaluate.json"
    # The figures that `dvc metrics` compares between experiments, beside the baseline's accuracy.
    METRICS: ClassVar = {
        "test_accuracy",
        "balanced_accuracy",
        "macro_f1",
        "worst_recall",
        "test_loss",
        "test_calibration_error",
    }

    model_sha256: str
    test_accuracy: float
    test_accuracy_interval: tuple[float, float]
    balanced_accuracy: float  # the mean recall of the classes
    macro_f1: float  # the mean F1 of the classes
    worst_recall: float
    test_loss: float
    test_calibration_error: float  # the expected calibration error
    test_images: int
    gate: Gate
    per_class: dict[str, ClassScore]
    per_group: dict[str, GroupScore] | None = None  # with preprocess.group; the worst first
    folds: FoldScore | None = None  # with evaluate.folds

    def save_metrics(self) -> None:
        metrics = {
            **self.model_dump(include=self.METRICS),
            "baseline_test_accuracy": self.gate.baseline_accuracy,
        }
        artifacts.save_json(artifacts.metrics("evaluate"), metrics)
