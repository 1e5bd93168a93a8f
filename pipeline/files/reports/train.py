"""What `train` reports on the training; the measures are those of the epoch that was kept."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report


class TrainReport(Report):
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

    def save_metrics(self) -> None:
        artifacts.save_json(artifacts.metrics("train"), self.model_dump(include=self.METRICS))
