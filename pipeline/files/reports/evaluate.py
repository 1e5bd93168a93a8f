"""What `evaluate` reports: the trained model on the test set, against the target and baseline."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section


class Gate(Section):
    """Whether the model reaches the target and beats the baseline; a sentence for each failure."""

    target: float
    target_reached: bool
    baseline_accuracy: float
    baseline_p_value: float
    baseline_beaten: bool
    failures: list[str]

    @property
    def passed(self) -> bool:
        return self.target_reached and self.baseline_beaten


class ClassScore(Section):
    precision: float
    recall: float
    f1: float


class EvaluationReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "evaluate.json"

    model_sha256: str
    test_accuracy: float
    test_accuracy_interval: tuple[float, float]
    test_loss: float
    test_images: int
    gate: Gate
    per_class: dict[str, ClassScore]

    @property
    def worst_recall(self) -> float:
        return min(scores.recall for scores in self.per_class.values())

    def save_metrics(self) -> None:
        """Writes the figures that `dvc metrics` compares between experiments."""
        metrics = {
            **self.model_dump(include={"test_accuracy", "test_loss"}),
            "worst_recall": self.worst_recall,
            "baseline_test_accuracy": self.gate.baseline_accuracy,
        }
        artifacts.save_json(artifacts.metrics("evaluate"), metrics)
