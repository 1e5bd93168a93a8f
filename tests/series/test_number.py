"""A number for each window of a sensor, from recordings to the device."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serving import Classifier
from tests import reports
from tests.conftest import OWN_PROBLEM, Project

RECORDINGS = Path(os.environ.get("DATA_MIRROR", "")).absolute() / "motion.npz"
AXES = ("ax", "ay", "az")


def write(folder: Path) -> None:
    """The acceleration of a smartwatch, and in the column turn how fast it turns, in rad/s."""
    folder.mkdir()
    with np.load(RECORDINGS) as file:
        ends = np.cumsum(file["length"])
        for number, (start, end) in enumerate(zip(ends - file["length"], ends, strict=True)):
            signal = file["signal"][start:end]
            turn = np.linalg.norm(signal[:, 3:], axis=1)
            person = np.full(len(signal), file["subject"][number])
            np.savetxt(
                folder / f"{number}.csv",
                np.column_stack([signal[:, :3], turn, person]),
                delimiter=",",
                header=",".join([*AXES, "turn", "person"]),
                comments="",
                fmt="%.5g",
            )


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not RECORDINGS.exists(), reason="needs the recordings of a smartwatch")
@pytest.mark.filterwarnings("ignore")
def test_a_device_tells_how_fast_it_turns_by_its_acceleration(
    project: Project, run_stages: Callable[..., None]
) -> None:
    write(project.folder / "recordings")
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "turning",
            "problem.target": 0.6,
            "problem.unit": "rad/s",
            "dataset.name": "series_folder",
            "dataset.path": "recordings",
            "dataset.number": "turn",
            "dataset.rate": 50,
            "dataset.seconds": 2.0,
            "preprocess.subset": None,
            "preprocess.group": "person",
            "train.architecture": "series_cnn",
            "train.loss": "Huber",
            "train.augmentation": [],
            "train.epochs": 6,
            "train.batch_size": 64,
            "train.learning_rate": 0.005,
            "export.formats": ["tflite_int8"],
            "verify.runtimes": ["litert"],
            "verify.processors": ["native"],
            "embed.targets": ["c"],
        }
    )
    run_stages(project)
    evaluation = reports.report(project, "evaluate")
    assert evaluation["gate"]["baseline_beaten"]
    (target,) = reports.report(project, "embed")["targets"]
    assert target.get("refused") is None
    bundle = project.folder / "dist/turning-1.0.0.tar.gz"
    files = sorted((project.folder / "recordings").glob("*.csv"))
    recordings = [np.loadtxt(file, np.float32, delimiter=",", skiprows=1) for file in files]
    windows = np.stack([rows[:100] for rows in recordings])  # the first two seconds of each
    turns = windows[..., 3].mean(1)
    numbers = Classifier.load(bundle).predict(windows[..., :3])[:, 0]
    assert np.abs(numbers - turns).mean() < np.abs(turns.mean() - turns).mean()
