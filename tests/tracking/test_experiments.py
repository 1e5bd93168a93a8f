"""Experiments of DVC, with the commands of docs/dvc.md."""

from __future__ import annotations

import csv
import re

import pytest

from tests.conftest import ROOT, Project
from tests.tracking.test_servers import TINY

pytestmark = [pytest.mark.slow, pytest.mark.long]

ONE_PAIR = {
    "export.formats": ["tflite_float32"],
    "verify.runtimes": ["litert"],
    "verify.processors": ["native"],
}


def test_an_experiment_below_its_target_is_shown_if_it_stops_before_the_gate(
    project: Project,
) -> None:
    page = (ROOT / "docs/dvc.md").read_text(encoding="utf-8")
    (stages,) = re.findall(r"^dvc exp run -S train.epochs=3 (\w.*)$", page, re.MULTILINE)
    project.change({**TINY, **ONE_PAIR})
    project.commit()
    changes = ("-S", "train.epochs=1", "-S", "problem.target=1")
    project.run("dvc", "exp", "run", "--name", "below", *changes, *stages.split())
    shown = csv.DictReader(project.run("dvc", "exp", "show", "--csv").splitlines())
    (row,) = [row for row in shown if row["Experiment"] == "below"]
    assert 0 < float(row["test_accuracy"]) < 1
    assert float(row["tflite_float32.bytes"]) > 0
