"""Complete reports with the values that a test names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.diagnose import diagnose_rows
from pipeline.diagnosis import training_log
from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.files.reports.baseline import BaselineReport, BaselineScore
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.files.reports.embed import EmbedReport
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.export import ExportReport
from pipeline.files.reports.preprocess import Evidence, PreprocessReport
from pipeline.files.reports.report import Report
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import AnyPair, ComparedPair, FailedPair, VerificationReport
from tests.conftest import Project

PAIR = {"format": "tflite_int8", "runtime": "litert", "processor": "native", "bytes": 60_144}
COMPARISON = {
    "runtime_version": "2.3.0",
    "requirements": {
        "minimum_runtime_version": "1.14.0",
        "operators": ["CONV_2D v3"],
        "weights": "int8 activations",
        "batch": "1",
    },
    "state": "proven",
    "images": 500,
    "test_images": 400,
    "accuracy": 0.99,
    "accuracy_interval": (0.98, 0.995),
    "keras_accuracy": 0.99,
    "keras_accuracy_interval": (0.98, 0.995),
    "lost": 0,
    "gained": 0,
    "mcnemar_p_value": 1.0,
    "accuracy_lost": 0.0,
    "accuracy_lost_bound": 0.0012,
    "max_accuracy_drop": 0.002,
    "agreement": 1.0,
    "largest_difference": 0.02,
    "mean_difference": 0.001,
}
GATE = {
    "target": 0.9,
    "target_reached": True,
    "baseline_accuracy": 0.8,
    "baseline_p_value": 0.0,
    "baseline_beaten": True,
    "never_predicted": [],
    "failures": {"target": [], "baseline": [], "classes": []},
}


def compared(**values: object) -> ComparedPair:
    return ComparedPair.model_validate({**PAIR, **COMPARISON, **values})


def failed(**values: object) -> FailedPair:
    return FailedPair.model_validate({**PAIR, "state": "could not run", **values})


def verification(*pairs: AnyPair) -> VerificationReport:
    """400 test and 100 validation images."""
    return VerificationReport.model_validate(
        {
            "model_sha256": "0" * 64,
            "judged_on": {"test": 400, "validation": 100},
            "pairs": list(pairs),
        }
    )


def evaluation(gate: dict[str, object] | None = None, **values: object) -> EvaluationReport:
    return EvaluationReport.model_validate(
        {
            "model_sha256": "0" * 64,
            "test_accuracy": 0.99,
            "test_accuracy_interval": (0.98, 0.995),
            "balanced_accuracy": 0.98,
            "macro_f1": 0.98,
            "worst_recall": 0.97,
            "test_loss": 0.03,
            "test_calibration_error": 0.002,
            "test_images": 400,
            "gate": {**GATE, **(gate or {})},
            "per_class": {},
            **values,
        }
    )


def training(**values: object) -> TrainReport:
    return TrainReport.model_validate(
        {
            "architecture": "edge",
            "parameters": 49_386,
            "epochs": 15,
            "kept_epoch": 15,
            "train_loss": 0.3,
            "train_accuracy": 0.99,
            "validation_loss": 0.3,
            "validation_accuracy": 0.99,
            "training_seconds": 100.0,
            "layers_at_start": {},
            "trained_before": False,
            "backend": "tensorflow",
            "devices": ["cpu:0"],
            "precision": "float32",
            "training_key": "0" * 16,
            "temperature": 0.5,
            "calibration_error_before": 0.05,
            "calibration_error": 0.002,
            **values,
        }
    )


def baseline() -> BaselineReport:
    """Two baselines: the one that is best in validation is not the best in the test."""
    accuracies = {
        "validation": {"rmse": 0.8, "mae": 0.6},
        "test": {"rmse": 0.5, "mae": 0.7},
    }
    return BaselineReport.of(
        {
            split: {
                name: BaselineScore(accuracy=value, interval=(0.4, 0.9), per_class={"a": value})
                for name, value in by_name.items()
            }
            for split, by_name in accuracies.items()
        }
    )


def preprocessing() -> PreprocessReport:
    return PreprocessReport(
        class_names=["a"],
        input_shape=[2, 2, 1],
        splits={},
        duplicates={},
        unreadable=[],
        evidence=Evidence(5, 2, 0.0, 1.0, 0.5, 1.0),
    )


def diagnosis() -> DiagnosisReport:
    return DiagnosisReport(
        training_key="0" * 16, verdict="good_fit", epoch=15, numbers={}, sentence="fine"
    )


def bundled(**values: Report) -> BundleReports:
    """The reports of all stages before `package`; nothing is exported, verified or embedded."""
    defaults = {
        "preprocess": preprocessing(),
        "baseline": baseline(),
        "train": training(),
        "diagnose": diagnosis(),
        "evaluate": evaluation(),
        "export": ExportReport(model_sha256="0", formats={}),
        "verify": verification(),
        "embed": EmbedReport(model_sha256="0", targets=[]),
    }
    return BundleReports.model_validate({**defaults, **values})


def diagnosed(path: Path, target: float) -> Diagnosis:
    """The diagnosis of a CSV of learning curves, with the reports beside it."""
    return diagnose_rows(path, training_log.read(path).rows, target)


def report(project: Project, stage: str) -> Any:
    """The report that a stage wrote in a project, as JSON."""
    return json.loads((project.folder / f"reports/{stage}.json").read_text())


def reports(project: Project) -> dict[str, Any]:
    """All reports that a bundle needs, by stage."""
    return {stage: report(project, stage) for stage in BundleReports.model_fields}


def checked(stage_reports: dict[str, Any]) -> BundleReports:
    return BundleReports.model_validate(stage_reports)
