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

from pipeline.embedded import c
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from serving import photo
from serving.model_card import ModelCard
from tests.conftest import OWN_PROBLEM, STAGES, Project

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NAMES = ["dots", "lines", "rows"]
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


def a_folder(path: Path) -> dict[str, Any]:
    """Pictures whose left half is an image, and the framing that sees it alone."""
    images, labels = textures(IN_FOLDERS)
    images = np.concatenate([images, 255 - images], axis=2)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (path / NAMES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / NAMES[label] / f"{index}.png")
    return {
        "name": "image_folder",
        "height": IN_FOLDERS[0],
        "width": IN_FOLDERS[1],
        "channels": IN_FOLDERS[2],
        "framing": [0.0, 0.0, 0.5, 1.0],
    }


def an_npz(path: Path) -> dict[str, Any]:
    images, labels = textures(IN_ARRAYS)
    with path.open("wb") as file:
        np.savez(
            file,
            x_train=images[..., 0],
            y_train=labels,
            class_names=np.array(NAMES),
            camera_train=np.array(["left", "right", "top", "front"])[np.arange(180) // 3 % 4],
        )
    return {"name": "npz"}


def configure(project: Project, dataset: dict[str, Any]) -> None:
    project.change(
        {
            **OWN_PROBLEM,
            "problem.name": "textures",
            "dataset.path": "mine",
            **{f"dataset.{key}": value for key, value in dataset.items()},
            "preprocess.subset": None,
            "train.epochs": 15,
            "train.batch_size": 8,
            "train.learning_rate": 0.001,
            "export.calibration_images": 50,
            "export.max_accuracy_drop": 0.3,
            "export.formats": ["tflite_int8", "onnx_float32"],
            "verify.micro_max_accuracy_drop": 0.3,
            "verify.processors": ["native"],
            "embed.targets": "all",
        }
    )


def check(project: Project, shape: tuple[int, int, int]) -> None:
    """The bundle is one of these classes and inputs."""
    with tarfile.open(project.folder / "dist/textures-1.0.0.tar.gz") as tar:
        card = json.load(tar.extractfile("textures-1.0.0/model_card.json"))  # type: ignore[arg-type]
    assert card["class_names"] == NAMES
    assert card["input"]["shape"] == list(shape)
    assert [file["format"] for file in card["files"]] == ["tflite_int8", "onnx_float32"]


def test_photos_take_their_space_once_and_a_stage_run_by_hand_leaves_the_cache_alone(
    project: Project,
) -> None:
    dataset = {"path": "mine", **a_folder(project.folder / "mine")}
    project.change({f"dataset.{key}": value for key, value in dataset.items()})
    project.change({"preprocess.subset": None})
    project.run("dvc", "config", "cache.type", "hardlink,reflink,copy")
    project.run("dvc", "repro", "preprocess")
    cache = project.folder / ".dvc/cache/files"
    images = project.folder / "data/prepared/train/images.npy"
    inodes = {path.stat().st_ino for path in cache.rglob("*")}
    assert images.stat().st_ino in inodes
    assert not list((project.folder / "data/raw").rglob("images.npy"))
    before = digests(cache)
    for stage in ("download", "preprocess"):
        project.run("python", "-m", f"pipeline.{stage}")
    assert digests(cache) == before
    assert images.stat().st_ino not in inodes
    assert "up to date" in project.run("dvc", "status", "preprocess")
    (project.folder / "mine/dots/0.png").unlink()
    assert "mine" in project.run("dvc", "status", "download")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path): artifacts.sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.long
def test_a_folder_of_pictures_goes_through_the_whole_pipeline(
    project: Project, run_stages: Callable[..., None]
) -> None:
    configure(project, a_folder(project.folder / "mine"))
    project.run("dvc", "repro", "preprocess")  # DVC tracks the folder
    run_stages(project, *STAGES[STAGES.index("preprocess") + 1 :])
    check(project, IN_FOLDERS)
    check_photos(project)


def check_photos(project: Project) -> None:
    """The program in C answers for each golden photo as for the pixels that it must become."""
    with tarfile.open(project.folder / "dist/textures-1.0.0.tar.gz") as tar:
        tar.extractall(project.folder / "unpacked", filter="data")
    bundle = project.folder / "unpacked/textures-1.0.0"
    card = ModelCard.parse((bundle / "model_card.json").read_bytes())
    assert card.preprocessing.region == (0.0, 0.0, 0.5, 1.0)
    assert "framing.h" in (bundle / "embedded/c/README.md").read_text()
    expected = sorted((bundle / "photos").glob("*.expected.png"))
    assert len(expected) == 9
    for pixels in expected:
        picture = pixels.with_name(pixels.name.replace(".expected", ""))
        np.testing.assert_array_equal(photo.read(picture, card), np.asarray(Image.open(pixels)))
        raw = pixels.with_suffix(".raw")
        raw.write_bytes(np.asarray(Image.open(pixels)).tobytes())
        program = bundle / "embedded/c/programs" / f"classify-{c.HERE}"
        answers = project.run(str(program), str(picture), str(raw)).splitlines()
        assert answers[0].split("\t")[1:] == answers[1].split("\t")[1:], picture


@pytest.mark.long
def test_arrays_go_through_the_whole_pipeline(
    project: Project, run_stages: Callable[..., None]
) -> None:
    configure(project, an_npz(project.folder / "mine"))
    project.change({"preprocess.group": "camera"})
    run_stages(project)
    check(project, IN_ARRAYS)
    ((camera, score),) = json.loads(Path("reports/evaluate.json").read_text())["per_group"].items()
    assert camera in {"left", "right", "top", "front"}
    assert score["images"] == 45
    page = Path("reports/index.html").read_text()
    assert f"All examples with a group are of &#39;{camera}&#39;." in page
