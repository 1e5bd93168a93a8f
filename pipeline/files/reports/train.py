"""What `train` reports on the training; the measures are those of the epoch that was kept."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report


class TrainReport(Report):
    """The loss is that of the epoch, before the `temperature` was folded into the last layer.

    The calibration errors are those before and after; there is no temperature if the model ends in
    another kind of layer.
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
        "training_seconds",
    }

    architecture: str
    parameters: int
    epochs: int
    kept_epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    training_seconds: float
    images_per_second: float
    layers_at_start: dict[str, float]
    trained_before: bool
    backend: str
    devices: list[str]
    precision: str
    training_key: str
    temperature: float | None
    calibration_error_before: float
    calibration_error: float

    def save_metrics(self) -> None:
        artifacts.save_json(artifacts.metrics("train"), self.model_dump(include=self.METRICS))
