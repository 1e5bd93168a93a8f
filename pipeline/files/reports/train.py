"""What `train` reports on the training; the measures are those of the epoch that was kept."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section


class Origin(Section):
    """Where a model came from that was not trained here, and what was put around it.

    `accuracies` are those on `images` of the validation set under each scaling of pixels that was
    tried.
    """

    file: str
    sha256: str
    source: str | None
    scaling: str
    images: int
    accuracies: dict[str, float]
    labels: list[str] | None
    softmax_added: bool

    @property
    def sentence(self) -> str:
        source = f" from {self.source}" if self.source else ""
        added = " and a softmax" if self.softmax_added else ""
        return (
            f"the model was not trained here: it is {self.file}{source} (SHA-256 {self.sha256}), "
            f"with the scaling that it expects ({self.scaling}){added} made part of it; whether "
            "its training saw images of this test set is not known here"
        )


class TrainReport(Report):
    """The loss is that of the epoch, before the `temperature` was folded into the last layer.

    The calibration errors are those before and after; there is no temperature if the model ends in
    another kind of layer, or if there are few validation examples. A model that gives a number has
    no accuracies but mean absolute errors in its unit, and losses of its number in standard
    deviations of the training set. A model of another `origin` is measured as it came, as epoch 0.
    """

    PATH: ClassVar = artifacts.REPORTS / "train.json"
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
    layers_at_start: dict[str, float]
    trained_before: bool
    backend: str
    devices: list[str]
    precision: str
    training_key: str
    temperature: float | None
    calibration_error_before: float | None
    calibration_error: float | None
    origin: Origin | None = None  # of a model that was not trained here

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that `dvc metrics` compares between experiments."""
        return self.model_dump(include=self.METRICS, exclude_unset=True)

    def save_metrics(self) -> None:
        artifacts.save_json(artifacts.metrics("train"), self.metrics)
