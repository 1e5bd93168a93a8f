"""Answers of models to uneven classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.targets import Goal, _scores

OTHERS = ("balanced_accuracy", "macro_f1")
UNEVEN = np.repeat([0, 1, 2], [600, 150, 50])
TWO = Description("own", ["common", "rare"], (2, 2, 1), {}, [])
LABELS = np.repeat([0, 1], [990, 10])  # 99 to 1


def outputs(answers: Array, classes: int = 2) -> Array:
    return np.eye(classes, dtype=np.float32)[answers] * 0.7 + 0.1


def evaluated(answers: Array, baseline: Array, name: str, folder: Path) -> EvaluationReport:
    artifacts.MODEL.parent.mkdir(exist_ok=True)
    artifacts.MODEL.write_bytes(b"model")
    return _scores.evaluate(outputs(answers), LABELS, baseline, TWO, Goal(0.8, name))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noisy(generator: np.random.Generator, labels: Array, rates: list[float]) -> Array:
    """Answers of which a share, for each class, is wrong."""
    classes = len(rates)
    wrong = (labels + generator.integers(1, classes, len(labels))) % classes
    return np.where(generator.random(len(labels)) < np.array(rates)[labels], wrong, labels)
