"""All reports of a run."""

from __future__ import annotations

import contextlib

from pydantic import BaseModel, ConfigDict

from pipeline.files.reports import bundle
from pipeline.files.reports.baseline import BaselineReport
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.evaluate import AnyEvaluation
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.package import PackageReport
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.files.reports.report import Report
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import VerificationReport
from pipeline.process.errors import UserError

KINDS: dict[str, type[Report]] = {**bundle.KINDS, "package": PackageReport}


class RunReports(BaseModel):
    """The report of each stage; None if it is missing or of another run."""

    model_config = ConfigDict(frozen=True)

    preprocess: PreprocessReport | None = None
    baseline: BaselineReport | None = None
    train: TrainReport | None = None
    diagnose: DiagnosisReport | None = None
    evaluate: AnyEvaluation | None = None
    export: ExportReport | None = None
    verify: VerificationReport | None = None
    embed: EmbedReport | None = None
    package: PackageReport | None = None

    @classmethod
    def of_model(cls, model_sha256: str, training_key: str) -> RunReports:
        """The reports on this model, without those left behind by an earlier one.

        A report of another version was left behind too.
        """
        current = {"model_sha256": model_sha256, "training_key": training_key}
        reports = {}
        for name, kind in KINDS.items():
            with contextlib.suppress(FileNotFoundError, UserError):
                report = kind.load()
                if all(getattr(report, key, value) == value for key, value in current.items()):
                    reports[name] = report
        return cls.model_validate(reports)

    @property
    def names(self) -> set[str]:
        """The stages that have a report."""
        return self.model_fields_set

    @property
    def bundled(self) -> BundleReports | None:
        """The reports that a bundle is made from, if this run has all of them."""
        if not bundle.KINDS.keys() <= self.names:
            return None
        return BundleReports.model_validate({name: getattr(self, name) for name in bundle.KINDS})
