"""What `export` reports: the file of each format, or why the model could not be converted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section
from pipeline.process.errors import UserError


class ExportedFile(Section):
    file: str
    bytes: int
    sha256: str

    def verified(self) -> Path:
        """The file, which is the one that export wrote. Raises UserError."""
        path = artifacts.EXPORTED / self.file
        if artifacts.sha256(path) != self.sha256:
            raise UserError(
                f"{path} is not the file that export wrote (its SHA-256 differs); "
                "run `dvc repro export`"
            )
        return path


class FailedConversion(Section):
    error: str


AnyFormat = ExportedFile | FailedConversion


class ExportReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "export.json"

    model_sha256: str
    formats: dict[str, AnyFormat]

    @property
    def files(self) -> dict[str, ExportedFile]:
        return {
            name: entry for name, entry in self.formats.items() if isinstance(entry, ExportedFile)
        }

    @property
    def errors(self) -> dict[str, str]:
        """Why each of the other formats could not be converted."""
        return {
            name: entry.error
            for name, entry in self.formats.items()
            if isinstance(entry, FailedConversion)
        }
