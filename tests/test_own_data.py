"""A user's own data, as a folder of pictures or as arrays, through the whole pipeline."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.files.artifacts import Array
from tests.conftest import Project

pytestmark = pytest.mark.slow

IN_FOLDERS = (20, 24, 3)
IN_ARRAYS = (30, 33, 1)


def textures(shape: tuple[int, int, int]) -> tuple[Array, Array]:
    """Images (180, H, W, C) of dots, lines and rows, and their labels.

    Only their texture distinguishes them: the mean images are alike.
    """
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (180, *shape), dtype=np.uint8), np.arange(180) % 3
    images[labels == 1] = images[labels == 1][:, :1]
    images[labels == 2] = images[labels == 2][:, :, :1]
    return images, labels


def a_folder(path: Path, names: list[str]) -> dict[str, Any]:
    images, labels = textures(IN_FOLDERS)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (path / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / names[label] / f"{index}.png")
    return {
        "name": "image_folder",
        "height": IN_FOLDERS[0],
        "width": IN_FOLDERS[1],
        "channels": IN_FOLDERS[2],
    }


def an_npz(path: Path, names: list[str]) -> dict[str, Any]:
    images, labels = textures(IN_ARRAYS)
    with path.open("wb") as file:
        np.savez(file, x_train=images[..., 0], y_train=labels, class_names=np.array(names))
    return {"name": "npz"}


@pytest.mark.parametrize(("make", "shape"), [(a_folder, IN_FOLDERS), (an_npz, IN_ARRAYS)])
def test_own_data_go_through_the_whole_pipeline(
    project: Project, make: Callable[[Path, list[str]], dict[str, Any]], shape: tuple[int, int, int]
) -> None:
    names = ["dots", "lines", "rows"]
    dataset = {"path": "mine", **make(project.folder / "mine", names)}
    project.change(
        {
            "problem.name": "textures",
            **{f"dataset.{key}": value for key, value in dataset.items()},
            "preprocess.subset": None,
            "train.epochs": 15,
            "train.batch_size": 8,
            "train.learning_rate": 0.001,
            "export.calibration_images": 50,
            "export.max_accuracy_drop": 0.3,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "verify.micro_max_accuracy_drop": 0.3,
            "embed.targets": "all",
        }
    )
    project.run("dvc", "repro", MLFLOW_TRACKING_URI="sqlite:///own.db")
    with tarfile.open(project.folder / "dist/textures-1.0.0.tar.gz") as tar:
        card = json.load(tar.extractfile("textures-1.0.0/model_card.json"))  # type: ignore[arg-type]
    assert card["class_names"] == names
    assert card["input"]["shape"] == list(shape)
    assert [file["format"] for file in card["files"]] == ["tflite_int8", "onnx_float32"]
