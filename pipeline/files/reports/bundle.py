"""The reports that a bundle, and the page on its run, are made from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pipeline.files.reports.baseline import BaselineReport
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.evaluate import AnyEvaluation, Evaluation
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.files.reports.report import Report
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import VerificationReport

# The report of each stage before `package`.
KINDS: dict[str, type[Report]] = {
    "preprocess": PreprocessReport,
    "baseline": BaselineReport,
    "train": TrainReport,
    "diagnose": DiagnosisReport,
    "evaluate": Evaluation,
    "export": ExportReport,
    "verify": VerificationReport,
    "embed": EmbedReport,
}


class BundleReports(BaseModel):
    model_config = ConfigDict(frozen=True)

    preprocess: PreprocessReport
    baseline: BaselineReport
    train: TrainReport
    diagnose: DiagnosisReport
    evaluate: AnyEvaluation
    export: ExportReport
    verify: VerificationReport
    embed: EmbedReport

    @classmethod
    def load(cls) -> BundleReports:
        """Raises UserError and FileNotFoundError."""
        return cls.model_validate({name: kind.load() for name, kind in KINDS.items()})
