"""Numbers in use: the log, what is said of it later, and the comparison with the test."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.config import params
from pipeline.config.device_files import InTheField
from pipeline.field import assess, judge, page, sources
from pipeline.field.observations import Observations
from pipeline.field.sentences import sentences
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldError, InUse, NumberFieldReport
from pipeline.process.errors import UserError
from serving import Classifier, inputs, log_file
from serving.errors import BundleError, InputError
from serving.model_card import ModelCard
from serving.prediction_log import PredictionLog
from tests.conftest import ROOT, Project
from tests.number.conftest import test_set
from tests.prediction_log.conftest import rows
from tests.server import Server, check_openapi, png

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

test_set.__test__ = False  # type: ignore[attr-defined]
BUNDLE = "dist/angles-1.0.0.tar.gz"
SETTINGS = params.load(ROOT / "params.yaml").field


def ask(server: Server, image: Array) -> dict[str, Any]:
    answer: dict[str, Any] = server.ask("POST", "/predict", png(image[..., 0])).json
    return answer


def test_the_server_logs_numbers_and_takes_the_true_ones(trained: Project, tmp_path: Path) -> None:
    images, labels = test_set(trained)
    path = tmp_path / "field.sqlite"
    with Server(trained.folder / BUNDLE, "--log", path) as server:

        def send(*arguments: Any) -> Any:
            entries = [dict(zip(("id", "label"), pair, strict=True)) for pair in arguments]
            return server.ask("POST", "/feedback", json.dumps(entries).encode())

        shown = [ask(server, image) for image in images[:3]]
        ids = [answer["id"] for answer in shown]
        sent = send((ids[0], float(labels[0])), (ids[1], 500), ("gone", 1.5))
        assert (sent.status, sent.json) == (200, {"labelled": 2, "unknown": ["gone"]})
        reply = send((ids[0], 7.5), (ids[1], 500.0)).json
        assert reply == {"labelled": 1, "unknown": [], "kept": [ids[0]]}
        for label in ("7", ["7"], 10**19, float(10**39)):
            refused = send((ids[2], label))
            if label == 10**19:
                assert refused.status == 200
                continue
            assert refused.status == 400
            assert "angles gives a number, and the label is" in refused.json["error"]
        text = server.get("/metrics").body.decode()
        assert 'serving_labels_total{model="angles",version="1.0.0",right="false"} 2' in text
        assert 'serving_labels_total{model="angles",version="1.0.0",right="true"} 1' in text
        foreign = server.ask(
            "POST",
            "/feedback",
            b"[]",
            {"Origin": "http://example.org", "Content-Type": "text/plain"},
        )
        assert foreign.status == 403
        check_openapi(server, trained.folder)
        assert server.stop()[0] == 0
    stored = rows(path, "predicted, confidence, label")[:3]  # before those of check_openapi
    assert [row[0] for row in stored] == [answer["number"] for answer in shown]
    widths = [answer["high"] - answer["number"] for answer in shown]
    assert [row[1] for row in stored] == pytest.approx(widths)
    assert [row[2] for row in stored] == [float(labels[0]), 500.0, 1e19]


def test_predict_logs_numbers_under_their_files(trained: Project, tmp_path: Path) -> None:
    images, _ = test_set(trained)
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "one.png")
    log, picture = tmp_path / "field.sqlite", str(tmp_path / "one.png")
    command = (sys.executable, "-m", "serving", "predict", BUNDLE, picture, "--log", str(log))
    line = trained.run(*command)
    table = trained.run(*command, "--output", "csv").splitlines()
    assert table[0] == "picture,number,low,high,unit,id"
    ids = [row[0] for row in rows(log, "id")]
    assert line.split()[-1] == ids[0]
    assert table[1].split(",")[-1] == ids[1]
    assert rows(log, "source") == [(picture,), (picture,)]


def test_a_log_of_an_older_package_takes_numbers_and_is_then_of_the_second_version(
    trained: Project, tmp_path: Path
) -> None:
    path = tmp_path / "field.sqlite"
    typed = (("predicted NOT", "predicted INTEGER NOT"), ("    label  ", "    label INTEGER  "))
    schema = log_file.SCHEMA
    for ours, theirs in typed:
        assert schema.count(ours) == 1
        schema = schema.replace(ours, theirs)
    connection = sqlite3.connect(path)
    for statement in schema.split(";")[:-1]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {log_file.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {log_file.OF_CLASSES}")
    connection.close()
    classifier, images = Classifier.load(trained.folder / BUNDLE), test_set(trained)[0][:2]
    with PredictionLog(path) as log:
        first, second = log.add(classifier, images, classifier.predict(images))
        log.label({first: 7.0, second: 7.25})
        (again,), _ = log.label({first: 7})
        assert not again.kept
    (observed,) = sources.read(path, None, trained.folder)
    assert observed.labels.tolist() == [7.0, 7.25]
    assert observed.predicted == pytest.approx(classifier.predict(images)[:, 0])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (log_file.OF_ANY_TARGET,)
    connection.close()


@pytest.fixture(scope="module")
def own(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Observations:
    """What a log says of the whole test set, with the true numbers and the pictures."""
    classifier = Classifier.load(trained.folder / BUNDLE)
    images, labels = test_set(trained)
    path = tmp_path_factory.mktemp("log") / "field.sqlite"
    with PredictionLog(path, images=True) as log:
        ids = log.add(classifier, images, classifier.predict(images))
        log.label(dict(zip(ids, map(float, labels), strict=True)))
    (observed,) = sources.read(path, None, trained.folder)
    return observed


def judged(observed: Observations, settings: InTheField = SETTINGS, **changes: Any) -> Any:
    report = judge.judge(dataclasses.replace(observed, **changes), settings)
    assert isinstance(report, NumberFieldReport)
    return report


def test_on_the_test_set_itself_the_error_is_that_of_the_card(own: Observations) -> None:
    report, proof = judged(own), own.proof
    assert isinstance(report.error, FieldError)
    assert report.error.field_error == pytest.approx(proof.error, rel=1e-5)
    assert report.error.interval == pytest.approx(proof.error_interval, rel=1e-4)
    assert report.error.difference == pytest.approx(0, abs=1e-4)
    assert (report.verdict, report.alarms) == ("holds", [])
    assert report.coverage.promised == 0.9
    inside = np.abs(own.predicted - own.labels) <= own.file.interval
    assert report.coverage.share == inside.mean()
    assert own.confidence.tolist() == [own.file.interval] * len(inside)
    first, second, last = sentences(report)
    assert first.startswith("The mean absolute error in the field is within 1 degrees of that in")
    assert "of the true numbers are inside their interval (95 % interval " in second
    assert "not significantly fewer than the 90.00 % that the card promises" in second
    assert last.startswith("No drift of inputs or predictions in 9 tests")


def test_larger_errors_and_a_broken_interval_are_said_in_the_unit(own: Observations) -> None:
    report = judged(own, labels=own.labels + 5)
    first, second, *_ = sentences(report)
    assert first.startswith("The mean absolute error in the field is larger than in the test: ")
    assert " degrees (95 % interval " in first
    assert "(Welch's t-test, p < 1e-06)" in first
    assert "significantly fewer than the 90.00 % that the card promises" in second
    assert report.coverage.broken
    two = judged(own, labels=np.where(np.arange(len(own.labels)) < 2, own.labels + 9, np.nan))
    assert (two.labels, two.verdict) == (2, "open"), "two labels are no verdict"


def test_too_few_labels_or_test_examples_are_said(own: Observations) -> None:
    unlabelled = judged(own, labels=np.full(len(own.labels), np.nan))
    sentence = sentences(unlabelled)[0]
    assert sentence.startswith(
        "None of the 120 predictions has a label, so the mean absolute error"
    )
    assert f"about {unlabelled.error.labels_needed:,} labels will probably be enough" in sentence
    strict = SETTINGS.model_copy(update={"max_error_increase": 1e-3})
    sentence = sentences(judged(own, strict))[0]
    assert "no number of labels can settle an increase of 0.001 degrees" in sentence
    assert sentence.count("increase field.max_error_increase") == 1
    few = judged(own, labels=np.where(np.arange(len(own.labels)) < 5, own.labels, np.nan))
    if few.verdict == "open":
        assert "more labels will probably be enough" in sentences(few)[0]


def test_inputs_and_numbers_that_drifted_are_found_without_labels(
    trained: Project, own: Observations
) -> None:
    images = (0.8 * test_set(trained)[0]).astype(np.uint8)
    classifier = Classifier.load(trained.folder / BUNDLE)
    changed = judged(own, statistics=inputs.statistics(images))
    assert "brightness" in {test.of for test in changed.alarms}
    answers = classifier.predict(images)[:, 0].astype(float)
    names = {test.of for test in judged(own, predicted=answers).alarms}
    assert names == {"predicted number"}


def test_the_command_reports_a_log_and_a_folder(
    trained: Project, own: Observations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = test_set(trained)
    (tmp_path / "seen").mkdir()
    for row in range(20):
        Image.fromarray(images[row, ..., 0]).save(tmp_path / f"seen/{row}.png")
    lines = [f"{row}.png,{labels[row]}" for row in range(15)]
    csv = tmp_path / "labels.csv"
    csv.write_text("\n".join(["file,label", *lines]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "params.yaml").write_bytes((trained.folder / "params.yaml").read_bytes())
    assess.assess(tmp_path / "seen", csv, trained.folder / BUNDLE, False)
    (path,) = tmp_path.glob("reports/field/*/field.json")
    report = InUse.load(path)
    assert isinstance(report, NumberFieldReport)
    assert (report.predictions, report.labels) == (20, 15)
    page = (path.parent / "field.md").read_text()
    for word in ("ccuracy", "class", "label "):
        assert word not in page
    assert (path.parent / "worst.png").exists()
    csv.write_text("file,label\n1.png,far\n")
    with pytest.raises(UserError, match="angles gives a number, and the label is 'far'; expected"):
        sources.read(tmp_path / "seen", csv, trained.folder / BUNDLE)


def test_a_card_without_spread_is_judged_but_for_drift(own: Observations, tmp_path: Path) -> None:
    assert own.card.number
    number = dataclasses.replace(own.card.number, spread=None)
    report = judged(own, card=dataclasses.replace(own.card, number=number))
    assert (report.verdict, report.drift) == ("holds", [])
    assert report.coverage
    assert sentences(report)[-1].endswith(
        "so drift is unknown; `dvc repro` packs the bundle again."
    )
    page.write(tmp_path, report, own)
    assert "Drift" not in (tmp_path / "field.md").read_text()


def test_a_damaged_card_or_log_is_one_sentence(
    trained: Project, own: Observations, tmp_path: Path
) -> None:
    values = json.loads(own.card.dump())
    spread = values["number"]["spread"]
    for change, sentence in (
        ({"answers": {"edges": [], "counts": [0]}}, "spread.answers.counts are those of nothing"),
        ({"answers": {"edges": [1.0], "counts": [1]}}, "spread.answers.counts are 1, expected"),
        ({"inputs": 3}, "spread.inputs is"),
        ({"more": 1}, "spread.more is not a field"),
    ):
        number = {**values["number"], "spread": {**spread, **change}}
        with pytest.raises(BundleError, match=sentence):
            ModelCard.parse(json.dumps({**values, "number": number}).encode())
    file = {**values["files"][0]}
    for error, ends in ((1.0, [5.0, 4.0]), (1e300, [1e299, 1e308])):
        file["proofs"] = [{**file["proofs"][0], "error": error, "error_interval": ends}]
        with pytest.raises(BundleError, match=r"error_interval is .* to .*, expected one around"):
            ModelCard.parse(json.dumps({**values, "files": [file]}).encode())

    assert own.card.number
    assert own.card.number.spread
    bare = dataclasses.replace(own.card.number.spread, inputs={})
    changed = dataclasses.replace(own.card.number, spread=bare)
    with pytest.raises(UserError, match="is damaged: it has no histogram of brightness; rebuild"):
        judged(own, card=dataclasses.replace(own.card, number=changed))

    classifier, images = Classifier.load(trained.folder / BUNDLE), test_set(trained)[0][:2]
    path = tmp_path / "field.sqlite"
    with PredictionLog(path) as log:
        log.add(classifier, images, classifier.predict(images))
        with pytest.raises(InputError, match="the label is nan; expected a number"):
            log.label({row[0]: float("nan") for row in rows(path, "id")})
    for value in ("x'00'", "'text'", "9e999"):
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(f"UPDATE predictions SET label = {value} WHERE number = 1")
        connection.close()
        with pytest.raises(UserError, match="its predictions do not fit the card of angles"):
            sources.read(path, None, trained.folder)
