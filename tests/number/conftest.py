"""A project whose model answers with a number, and numbers to test with."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from pipeline.embedded import c
from pipeline.files.artifacts import Array, Description
from tests.conftest import OWN_PROBLEM, STAGES, Project

OWN = Description("own", ["angle"], (12, 12, 1), {}, [], target="number", unit="degrees")
UNIT = {"problem.unit": "degrees", "problem.target": 20.0, "problem.max_error": None}


def drawn(count: int = 600) -> tuple[Array, Array]:
    """Images (N, 12, 12) of waves, and the angle (N,) in degrees at which they run.

    Crest and trough change places at random, so no linear model can tell the angle.
    """
    random = np.random.default_rng(0)
    angles = random.uniform(0, 90, count)
    radians = np.radians(angles)[:, None, None]
    rows, columns = np.mgrid[:12, :12]
    waves = np.sin(0.9 * (columns * np.cos(radians) + rows * np.sin(radians)))
    signs = random.choice([-1, 1], count)[:, None, None]
    images = 128 + 80 * signs * waves + random.normal(0, 8, (count, 12, 12))
    return np.clip(images, 0, 255).astype(np.uint8), angles


@pytest.fixture(scope="session")
def trained(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after all stages on images whose labels are angles. Tests must not change it."""
    folder = tmp_path_factory.mktemp("number") / "project"
    project = fresh.whole_copy(folder)
    images, angles = drawn()
    names = np.array(OWN.class_names)
    np.savez(folder / "own.npz", x_train=images, y_train=angles, class_names=names)
    project.change(
        {
            **OWN_PROBLEM,
            **UNIT,
            "problem.name": "angles",
            "problem.coverage": 0.9,
            "dataset.name": "npz",
            "dataset.path": "own.npz",
            "preprocess.subset": None,
            "preprocess.validation": 0.2,
            "train.loss": "Huber",
            "train.augmentation": [],
            "train.epochs": 8,
            "train.batch_size": 32,
            "train.learning_rate": 0.005,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "verify.runtimes": ["litert", "onnxruntime"],
            "verify.processors": ["native"],
            "embed.targets": "all",
            "embed.programs": [c.HERE],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
        patch.setattr(sys, "argv", ["stage"])
        for stage in STAGES:
            importlib.import_module(f"pipeline.{stage}").main()
    return project


def test_set(trained: Project) -> tuple[Array, Array]:
    images, labels = (
        np.load(trained.folder / f"data/prepared/test/{name}.npy") for name in ("images", "labels")
    )
    return images, labels
