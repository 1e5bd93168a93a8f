"""What `package` reports on the bundle."""

from __future__ import annotations

from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report


class PackageReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "package.json"

    model_sha256: str
    file: str
    bytes: int
    sha256: str
    formats: list[str]
    runtimes: list[str]
