"""Several labels in use: the log, what is said of it later, and the comparison with the test."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import params
from pipeline.field import assess, recognition, sources
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.field.sentences import sentences
from pipeline.files.artifacts import Array
from pipeline.files.reports.field import FieldReport, InUse
from pipeline.process.errors import UserError
from serving import Classifier
from serving.log_file import OF_ANY_TARGET
from serving.prediction_log import PredictionLog
from tests.conftest import ROOT, Project
from tests.server import Server, check_openapi

SETTINGS = params.load(ROOT / "params.yaml").field


def check(trained: Project, bundle: Path) -> None:
    """`trained` has test images with the labels a, b and c, and two.png, which has two of them."""
    images, labels = (
        np.load(trained.folder / "data/prepared/test" / f"{name}.npy")
        for name in ("images", "labels")
    )
    check_server(trained, bundle)
    check_command_line(trained, bundle)
    own = logged(trained.folder / "own.sqlite", Classifier.load(bundle), images, labels)
    check_same(own)
    images[:, 6:, :6] = 128  # where label c is
    hidden = logged(trained.folder / "hidden.sqlite", Classifier.load(bundle), images, labels)
    check_hidden(hidden)
    check_report(trained, bundle, trained.folder / "hidden.sqlite")


def column(path: Path, name: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(f"SELECT {name} FROM predictions ORDER BY number")
        return [row[0] for row in rows]
    finally:
        connection.close()


def check_server(trained: Project, bundle: Path) -> None:
    path = trained.folder / "served.sqlite"
    with Server(bundle, "--log", path) as server:

        def send(label: Any) -> Any:
            entry = {"id": shown["id"], "label": label}
            return server.ask("POST", "/feedback", json.dumps(entry).encode())

        shown = server.ask("POST", "/predict", (trained.folder / "two.png").read_bytes()).json
        for label, sentence in (
            ("a", "gives several labels at once, and the label is 'a'; expected an array"),
            (1, "gives several labels at once, and the label is 1; expected an array"),
            (["a", "d"], "'d' is not a label of blocks; expected one of a, b, c"),
        ):
            refused = send(label)
            assert (refused.status, list(refused.json)) == (400, ["error"])
            assert sentence in refused.json["error"]
        assert send([*reversed(shown["labels"])]).json == {"labelled": 1, "unknown": []}
        assert send([]).json["error"].endswith("another label already, and the first is kept")
        counted = 'serving_labels_total{model="blocks",version="1.0.0",right="true"} 1'
        assert counted in server.get("/metrics").body.decode()
        check_openapi(server, trained.folder)
        assert server.stop()[0] == 0
    held = bytes(name in shown["labels"] for name in "abc")
    assert column(path, "predicted")[0] == column(path, "label")[0] == held
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (OF_ANY_TARGET,)
    connection.close()


def check_command_line(trained: Project, bundle: Path) -> None:
    command = (sys.executable, "-m", "serving", "predict", str(bundle), "two.png", "none.png")
    table = trained.run(*command, "--log", "cli.sqlite", "--output", "csv").splitlines()
    assert table[0].split(",")[-1] == "id"
    ids = column(trained.folder / "cli.sqlite", "id")
    assert [row.split(",")[-1] for row in table[1:]] == ids
    assert {row.count(",") for row in table} == {7}
    csv = trained.folder / "labels.csv"
    csv.write_text(f'id,label\n{ids[0]},"[""a"", ""b""]"\n{ids[1]},\n')
    (observed,) = sources.read(trained.folder / "cli.sqlite", csv, bundle)
    assert observed.labels.tolist() == [[1, 1, 0], [0, 0, 0]]
    csv.write_text("file,label\ntwo.png,a;c\n")
    (observed,) = sources.read(trained.folder / "cli.sqlite", csv, bundle)
    assert observed.labels.tolist() == [[1, 0, 1], [UNKNOWN] * 3]
    csv.write_text("file,label\ntwo.png,a;z\n")
    with pytest.raises(UserError, match="'z' is not a label of blocks; expected one of a, b, c"):
        sources.read(trained.folder / "cli.sqlite", csv, bundle)


def logged(path: Path, classifier: Classifier, images: Array, labels: Array) -> Observations:
    names = np.array(classifier.card.class_names)
    with PredictionLog(path, images=True) as log:
        ids = log.add(classifier, images, classifier.predict(images))
        log.label({id_: names[row == 1].tolist() for id_, row in zip(ids, labels, strict=True)})
    (observed,) = sources.read(path, None, path)
    return observed


def check_same(own: Observations) -> None:
    """On the test set the field is the test."""
    report = recognition.judge(own, SETTINGS)
    assert (report.score, report.test_images) == ("exact match", own.card.test_images)
    assert report.accuracy.verdict in ("open", "holds")
    reference = own.card.reference
    assert reference
    assert [row.field.images for row in report.per_label] == reference.images
    assert [row.test.right for row in report.per_label] == reference.right
    assert not any(row.suffers for row in report.per_label)
    assert report.alarms == []
    first, second, last = sentences(report)
    assert "field exact match" in first
    assert "no single label is significantly worse" in second
    assert last.startswith("No drift of inputs or predictions in 10 tests")
    unlabelled = dataclasses.replace(own, labels=np.full_like(own.labels, UNKNOWN))
    lines = sentences(recognition.judge(unlabelled, SETTINGS))
    assert "so field exact match is unknown" in lines[0]


def check_hidden(hidden: Observations) -> None:
    """Where c cannot be seen, that label alone is worse, and is given less often."""
    report = recognition.judge(hidden, SETTINGS)
    assert report.accuracy.verdict == "worse"
    assert [row.label for row in report.per_label if row.suffers] == ["c"]
    c = report.per_label[2]
    assert c.field.recall is not None
    assert c.test.recall is not None
    assert c.field.recall < c.test.recall
    first, second, last = sentences(report)
    assert first.startswith("Field exact match is worse than test exact match: field exact match ")
    assert "significantly worse labels (Fisher's exact test of F1 for each, Holm): c (F1" in second
    assert "predicted labels (c " in last
    assert "accuracy" not in " ".join(sentences(report))


def check_report(trained: Project, bundle: Path, log: Path) -> None:
    assess.assess(log, None, bundle, False)
    (path,) = (trained.folder / "reports/field").glob("*/field.json")
    report = InUse.load(path)
    assert isinstance(report, FieldReport)
    page = (path.parent / "field.md").read_text()
    assert "| label | true | precision (95 %) |" in page
    assert "for each predicted label." in page
    assert "class" not in page
    assert (path.parent / "worst.png").exists()
