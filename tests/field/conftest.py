"""The whole test set as if it were observed in the field, and a log of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.field_alarms import observe
from pipeline.config import params
from pipeline.field.observations import Observations
from pipeline.files.reports.field import FieldReport
from serving import Classifier
from serving.prediction_log import PredictionLog
from tests.conftest import EDGEPROOF, ROOT, Project

SETTINGS = params.load(ROOT / "params.yaml").field


@pytest.fixture(scope="session")
def own(finished: Project, classifier: Classifier) -> Observations:
    """The whole test set with the predictions of the bundle's file."""
    test = finished.folder / "data/prepared/test"
    return observe(classifier, np.load(test / "images.npy"), np.load(test / "labels.npy"))


@pytest.fixture
def log(own: Observations, classifier: Classifier, tmp_path: Path) -> Path:
    """200 predictions with pixels; every second one has a label, and one label is wrong."""
    path = tmp_path / "field.sqlite"
    with PredictionLog(path, images=True) as written:
        ids = [logged(written, classifier, own, row) for row in range(200)]
        labels = {id_: str(own.predicted[row]) for row, id_ in enumerate(ids) if row % 2}
        written.label({**labels, ids[1]: str((own.predicted[1] + 1) % 10)})
    return path


def logged(log: PredictionLog, classifier: Classifier, own: Observations, row: int) -> str:
    images = np.asarray(own.picture(row))[None]
    return log.add(classifier, images, classifier.predict(images), f"{row}.png")[0]


@pytest.fixture
def report(finished: Project) -> Iterator[Any]:
    """Runs the command in the finished project; its output is removed afterwards."""

    def run(*arguments: object) -> dict[str, Any]:
        finished.run(*EDGEPROOF, "field", *map(str, arguments))
        (path,) = (finished.folder / "reports/field").glob("*/field.json")
        written = path.read_bytes()
        FieldReport.load(path).save(path)
        assert path.read_bytes() == written
        return {
            **json.loads(path.read_text()),
            "files": sorted(file.name for file in path.parent.iterdir()),
        }

    yield run
    shutil.rmtree(finished.folder / "reports/field", ignore_errors=True)
