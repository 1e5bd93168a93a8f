"""What `train` reports on the training; the measures are those of the epoch that was kept."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report


class TrainReport(Report):
    """The loss is that of the epoch, before the `temperature` was folded into the last layer.

    The calibration errors are those before and after; there is no temperature if the model ends in
    another kind of layer. A model that gives a number has no accuracies but mean absolute errors in
    its unit, and losses of its number in standard deviations of the training set.
    """

    PATH: ClassVar = artifacts.REPORTS / "train.json"
    # The figures that `dvc metrics` compares between experiments.
    METRICS: ClassVar = {
        "parameters",
        "epochs",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "train_error",
        "validation_error",
        "training_seconds",
    }

    architecture: str
    parameters: int
    epochs: int
    kept_epoch: int
    train_loss: float
    train_accuracy: float | None = None
    train_error: float | None = None
    validation_loss: float
    validation_accuracy: float | None = None
    validation_error: float | None = None
    training_seconds: float
    images_per_second: float
    layers_at_start: dict[str, float]
    trained_before: bool
    backend: str
    devices: list[str]
    precision: str
    training_key: str
    temperature: float | None
    calibration_error_before: float | None
    calibration_error: float | None

    def save_metrics(self) -> None:
        artifacts.save_json(
            artifacts.metrics("train"), self.model_dump(include=self.METRICS, exclude_unset=True)
        )
