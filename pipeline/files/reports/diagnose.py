"""What `diagnose` reports: the verdict on the training with this key."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report

NOT_TRAINED = "not_trained"  # the verdict on a model that was taken as it came


class DiagnosisReport(Report):
    """`numbers` led to the verdict, which holds from `epoch` on; `sentence` is for people."""

    PATH: ClassVar = artifacts.REPORTS / "diagnose.json"

    training_key: str
    verdict: str
    epoch: int | float
    numbers: dict[str, int | float]
    sentence: str
