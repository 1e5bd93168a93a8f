"""What `embed` reports: the measurements of each target, or why it does not support the model."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section

Measured = dict[str, JsonValue]


class TargetReport(Section):
    """A target has either `measured` or `refused`."""

    target: str
    format: str
    measured: Measured | None = None
    refused: str | None = None


class EmbedReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "embed.json"

    model_sha256: str
    targets: list[TargetReport]
