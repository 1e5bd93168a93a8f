"""`edgeproof field` on a log, on a folder of pictures, and on damaged files."""

from __future__ import annotations

import csv
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.field import sources
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.process.errors import UserError
from tests.conftest import EDGEPROOF, Project


@pytest.mark.slow
def test_of_two_labels_the_first_is_kept_with_a_warning(
    log: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = sources.read(log, None, archive)
    labels = tmp_path / "labels.csv"
    other = (before.labels[1] + 1) % 10
    labels.write_text(f"file,label\n0.png,4\n1.png,{other}\n3.png,{before.labels[3]}\n")
    (observed,) = sources.read(log, labels, archive)
    assert observed.labels[:4].tolist() == [4, before.labels[1], UNKNOWN, before.labels[3]]
    assert "1 prediction in" in capsys.readouterr().err
    (replaced,) = sources.read(log, labels, archive, replace=True)
    assert replaced.labels[:4].tolist() == [4, other, UNKNOWN, before.labels[3]]
    assert not capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_copied_log_becomes_a_report_with_pictures_in_the_models_run(
    finished: Project, log: Path, report: Any, tmp_path: Path
) -> None:
    facts = report(log)
    assert (facts["predictions"], facts["labels"]) == (200, 100)
    assert facts["accuracy"]["field_accuracy"] == 0.99
    assert facts["files"] == ["drift.png", "field.json", "field.md", "worst.png"]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("file", "label"),
                *((f"{row}.png", "0") for row in range(0, 20, 2)),
                ("fell out of the log.png", "0"),
            ]
        )
    assert report(log, "--labels", tmp_path / "labels.csv", "--replace")["labels"] == 110
    import mlflow

    store = mlflow.MlflowClient(f"sqlite:///{finished.folder}/mlflow.db")
    experiment = store.get_experiment_by_name("mnist-digits").experiment_id
    (run,) = store.search_runs([experiment], f"tags.model_sha256 = '{facts['model_sha256']}'")
    assert [metric.value for metric in store.get_metric_history(run.info.run_id, "field_labels")][
        -2:
    ] == [100, 110]
    assert [file.path for file in store.list_artifacts(run.info.run_id, "field")] == [
        "field/mnist-digits-1.0.0-onnx_float32-onnxruntime"
    ]


@pytest.mark.slow
def test_a_folder_of_pictures_by_their_class_is_judged_by_the_bundle(
    own: Observations, report: Any, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    for row in range(30):
        folder = pictures / str(own.labels[row])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(own.picture(row)).squeeze()).save(folder / f"{row}.png")
    (pictures / "0" / "broken.png").write_bytes(b"no picture")
    facts = report(pictures)
    assert (facts["predictions"], facts["labels"], len(facts["unreadable"])) == (30, 30, 1)
    assert facts["accuracy"]["field_accuracy"] > 0.7


@pytest.mark.slow
def test_damage_is_reported_in_one_message(
    log: Path, finished: Project, archive: Path, tmp_path: Path
) -> None:
    whole = log.read_bytes()

    def altered(name: str, statement: str) -> Path:
        shutil.copy(log, tmp_path / name)
        connection = sqlite3.connect(tmp_path / name)
        connection.execute(statement)
        connection.commit()
        connection.close()
        return tmp_path / name

    def written(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    cases: list[tuple[list[Path], str]] = [
        ([tmp_path / "missing"], "neither a log nor a folder"),
        ([written("empty", b"")], "not a prediction log"),
        ([written("garbage", b"x" * 5000)], "damaged or not a log"),
        ([written("cut", whole[: len(whole) // 2])], "damaged or not a log"),
        (
            [written("overwritten", whole[:8192] + b"\xff" * 64 + whole[8256:])],
            "damaged or not a log",
        ),
        ([altered("other", "PRAGMA application_id = 1")], "not a prediction log of version 1 or 2"),
        (
            [altered("class", "UPDATE predictions SET label = 10 WHERE number = 7")],
            "do not fit the card of mnist-digits",
        ),
        (
            [altered("negative", "UPDATE predictions SET predicted = -1 WHERE number = 7")],
            "do not fit the card of mnist-digits",
        ),
        (
            [altered("short", "UPDATE predictions SET statistics = x'00' WHERE number = 7")],
            "do not fit the card of mnist-digits",
        ),
        ([altered("card", "UPDATE models SET card = '{}'")], "not a model card"),
        (
            [altered("runtime", "UPDATE models SET runtime = 'other'")],
            "has no proof on the runtime 'other'",
        ),
        ([altered("none", "DELETE FROM predictions")], "contains no predictions yet"),
        ([log, written("a.csv", b"id:label\n1:2\n")], "expected id,label or file,label"),
        ([log, written("s.csv", b"id;label\n1;2\n")], "labelled predictions, such as '1'"),
        (
            [log, written("b.csv", b"file,label\nother.png,2\n")],
            "lacks 1 of the 1 labelled predictions, such as 'other.png'",
        ),
        ([log, written("c.csv", b"file,label\n3.png,two\n")], "expected one of 0, 1, 2"),
        (
            [log, written("e.csv", b"file,label\n3.png,2\n3.png,3\n")],
            "has the labels '2' and '3' for '3.png'; keep one of them",
        ),
        (
            [log, written("f.csv", b"file,label\n3.png\n")],
            "has more or fewer cells than the header",
        ),
        ([log, written("d.csv", b"\xff\xfe\x00")], "is not UTF-8; save it as CSV"),
    ]
    for (source, *labels), sentence in cases:
        with pytest.raises(UserError, match=re.escape(sentence)):
            sources.read(source, labels[0] if labels else None, archive)
    done = finished.attempt(*EDGEPROOF, "field", str(tmp_path / "cut"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
