"""Reports: saved again as they were, and refused in one sentence if they have another shape."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from pipeline.files.reports.baseline import BaselineReport, BaselineScore
from pipeline.files.reports.embed import CMeasurements, EmbedReport, TargetReport
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.files.reports.export import ExportedFile, ExportReport, FailedConversion
from pipeline.files.reports.preprocess import PreprocessReport
from pipeline.files.reports.report import Report, Section
from pipeline.files.reports.run import KINDS, RunReports
from pipeline.files.reports.train import TrainReport
from pipeline.files.reports.verify import (
    ComparedPair,
    MetricLoss,
    NumberPair,
    VerificationReport,
)
from pipeline.process.errors import UserError
from serving.comparison import Comparison, MetricComparison, NumberComparison
from tests import reports
from tests.conftest import Project

BASELINE = reports.baseline()
EXPORT = ExportReport(
    model_sha256="0",
    formats={
        "onnx_float32": ExportedFile(file="onnx_float32.onnx", bytes=3, sha256="1"),
        "onnx_int8": FailedConversion(error="ValueError: no"),
    },
)
EMBED = EmbedReport(
    model_sha256="0",
    targets=[
        TargetReport(
            target="c",
            format="tflite_int8",
            measured=CMeasurements(
                program_bytes={"armv7": 50_000},
                constant_bytes=10_000,
                arena_bytes=8_000,
                stack_bytes=400,
                state="proven",
                test_images=400,
                accuracy=0.99,
                accuracy_lost_bound=0.005,
                agreement=0.998,
                images_equal_to_micro=400,
            ),
        ),
        TargetReport(target="browser", format="onnx_float32", refused="it has no filters"),
    ],
)
VERIFICATION = reports.verification(
    reports.compared(arena_bytes=17_616, median_milliseconds=0.04, measured_on="a processor"),
    reports.compared(processor="haswell", golden_difference=0.01, state="worse", reason="3 lost"),
    reports.compared(state="not shown", images_needed=None, reason="too few images"),
    reports.failed(runtime="onnxruntime", reason="no such file"),
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", KINDS)
def test_a_report_of_a_finished_run_is_saved_again_to_the_byte(
    finished: Project, stage: str, tmp_path: Path
) -> None:
    kind = KINDS[stage]
    path = finished.folder / kind.PATH
    kind.load(path).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "report",
    [BASELINE, EXPORT, EMBED, VERIFICATION, reports.evaluation(), reports.training()],
    ids=lambda report: type(report).__name__,
)
def test_a_report_is_read_as_it_was_written_and_an_absent_key_stays_absent(
    report: Report, tmp_path: Path
) -> None:
    report.save(tmp_path / "report.json")
    read = type(report).load(tmp_path / "report.json")
    assert read == report
    read.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "report.json").read_bytes()


def test_a_key_without_a_value_is_absent_and_an_empty_one_is_null(tmp_path: Path) -> None:
    VERIFICATION.save(tmp_path / "verify.json")
    native, emulated, open_pair, failed = json.loads((tmp_path / "verify.json").read_text())[
        "pairs"
    ]
    assert "golden_difference" not in native
    assert "arena_bytes" not in emulated
    assert "median_milliseconds" not in emulated
    assert open_pair["images_needed"] is None
    assert set(failed) == {"format", "runtime", "processor", "bytes", "state", "reason"}


@pytest.mark.parametrize(
    ("report", "comparison"),
    [
        (ComparedPair, Comparison),
        (NumberPair, NumberComparison),
        (MetricLoss, MetricComparison),
    ],
)
def test_a_report_takes_what_the_gate_finds_out(report: type[Section], comparison: type) -> None:
    """Field by field, since a device has no pydantic."""
    has_no_default = {field.name: field.default is MISSING for field in fields(comparison)}
    assert has_no_default.items() <= {
        (name, field.is_required()) for name, field in report.model_fields.items()
    }


def test_a_class_may_have_the_name_of_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    report = reports.preprocessing().changed(
        class_names=["\udcff"], duplicates={"\udcfe": 1}, unreadable=["\udcfd.png"]
    )
    report.save(tmp_path / "preprocess.json")
    read = PreprocessReport.load(tmp_path / "preprocess.json")
    assert read == report
    assert read.class_names == ["\udcff"]
    assert read.duplicates == {"\udcfe": 1}


def test_a_training_that_diverged_has_a_report(tmp_path: Path) -> None:
    reports.training(train_loss=math.nan, validation_loss=math.inf).save(tmp_path / "train.json")
    assert '"train_loss": NaN,\n' in (tmp_path / "train.json").read_text()
    read = TrainReport.load(tmp_path / "train.json")
    assert math.isnan(read.train_loss)
    assert read.validation_loss == math.inf


def test_the_best_baseline_is_that_of_the_validation_set() -> None:
    assert BASELINE.best == "rmse"
    assert isinstance(BASELINE.test_score, BaselineScore)
    assert BASELINE.test_accuracy == BASELINE.test_score.accuracy == 0.5


def holder(values: Any, keys: tuple[str | int, ...]) -> Any:
    """What holds the value at these keys."""
    return holder(values[keys[0]], keys[1:]) if len(keys) > 1 else values


def without(values: dict[str, Any], *keys: str | int) -> bytes:
    """`values` as JSON, without the one at these keys."""
    values = copy.deepcopy(values)
    del holder(values, keys)[keys[-1]]
    return json.dumps(values).encode()


def changed(values: dict[str, Any], *keys: str | int, to: object) -> bytes:
    """`values` as JSON, with `to` at these keys."""
    values = copy.deepcopy(values)
    holder(values, keys)[keys[-1]] = to
    return json.dumps(values).encode()


TRAIN, VERIFY = (
    report.model_dump(mode="json", exclude_unset=True)
    for report in (reports.training(), VERIFICATION)
)


@pytest.mark.parametrize(
    ("kind", "data", "fault"),
    [
        (TrainReport, b"", "it is not JSON"),
        (TrainReport, b'{"architecture": "ed', "it is not JSON"),
        (TrainReport, b"\xff\xfe", "it is not JSON"),
        (TrainReport, b"[]", "the file is []"),
        (TrainReport, b"{}", "architecture is missing"),
        (TrainReport, without(TRAIN, "kept_epoch"), "kept_epoch is missing"),
        (TrainReport, changed(TRAIN, "speed", to=1), "speed is not a known key"),
        (TrainReport, changed(TRAIN, "epochs", to="many"), "epochs is 'many'"),
        (TrainReport, changed(TRAIN, "devices", to=["cpu:0", 1]), "devices.1 is 1"),
        (VerificationReport, without(VERIFY, "pairs", 0, "agreement"), "pairs.0.agreement is"),
        (VerificationReport, changed(VERIFY, "pairs", 1, "state", to="fine"), "state is 'fine'"),
        (VerificationReport, without(VERIFY, "pairs", 2, "state"), "pairs.2.state is missing"),
        (VerificationReport, without(VERIFY, "pairs", 3, "reason"), "pairs.3.reason is missing"),
        (
            VerificationReport,
            changed(VERIFY, "pairs", 0, "requirements", "minimum_runtime_version", to="new"),
            "pairs.0.requirements: minimum_runtime_version is 'new', expected one such as",
        ),
        (
            ExportReport,
            json.dumps({"model_sha256": "", "formats": {"a": {"file": "a.onnx"}}}).encode(),
            "formats.a.bytes is missing",
        ),
        (
            BaselineReport,
            json.dumps({"best": "a", "test_accuracy": 1.0, "test_a": {}}).encode(),
            "test_a.accuracy is missing",
        ),
        (
            BaselineReport,
            json.dumps({"best": "a", "test_accuracy": 1.0}).encode(),
            "the file: test_a is missing",
        ),
        (
            EvaluationReport,
            json.dumps({"model_sha256": None}).encode(),
            "model_sha256 is None",
        ),
    ],
)
def test_a_report_of_another_shape_is_refused_in_one_sentence(
    kind: type[Report], data: bytes, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(data)
    with pytest.raises(UserError) as raised:
        kind.load(path)
    sentence = str(raised.value)
    assert sentence.startswith(f"{path} is damaged or of another version (")
    assert fault in sentence
    assert sentence.endswith("; run `edgeproof run`")
    assert "\n" not in sentence
    assert len(sentence) < len(str(path)) + 250


def test_reports_of_another_model_training_or_version_do_not_belong_to_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training = reports.training()
    key = training.training_key
    assert RunReports.of_model("0", key).names == set()
    training.save()
    BASELINE.save()
    EXPORT.save()
    VERIFICATION.save()
    EMBED.PATH.write_text('{"model_sha256": "0"}')
    assert RunReports.of_model("0", key).names == {"train", "baseline", "export"}
    verified = VERIFICATION.model_sha256
    assert RunReports.of_model(verified, key).names == {"train", "baseline", "verify"}
    assert RunReports.of_model(verified, "another").names == {"baseline", "verify"}
