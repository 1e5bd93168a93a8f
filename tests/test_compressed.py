"""Prepared photos that stay compressed: the same pixels, weights and proof as decoded ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import download, package, preprocess
from pipeline.config import params
from pipeline.embedded import _proof
from pipeline.files import artifacts, pictures, split_files
from pipeline.files.reports.train import TrainReport
from pipeline.process.errors import UserError
from pipeline.verification import material
from tests.conftest import OWN_PROBLEM, ROOT, STAGES, Project
from tests.settings import configure

pytestmark = pytest.mark.filterwarnings("ignore")

SIDE = 20
SPLITS = ("train", "validation", "test")
VALUES = {
    **OWN_PROBLEM,
    "problem.name": "waves",
    "problem.target": 0.5,
    "problem.coverage": None,
    "dataset.name": "image_folder",
    "dataset.path": "photos",
    "dataset.other": "others",
    "dataset.channels": 3,
    "dataset.height": SIDE,
    "dataset.width": SIDE,
    "dataset.framing": "letterbox",
    "preprocess.subset": None,
    "train.architecture": "tiny",
    "train.epochs": 3,
    "train.batch_size": 16,
    "train.steps_per_execution": 1,
}


def draw(folder: Path) -> None:
    """JPEGs of two classes, upright or lying waves, and some of neither."""
    for number in range(200):
        random = np.random.default_rng(number)
        wave = 80 * np.sin(np.linspace(0, 8 * np.pi, 64) + random.uniform(0, 6))
        image = 128 + wave[:, None, None] + random.normal(0, 40, (64, 64, 3))
        image = image.swapaxes(0, 1) if number % 2 else image
        label = "others" if number >= 180 else f"photos/{('lying', 'upright')[number % 2]}"
        path = folder / label / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:48].clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(store: str, **values: Any) -> None:
    configure({**VALUES, "preprocess.store": store, **values})
    download.main()
    preprocess.main()


def inputs() -> dict[str, artifacts.Array | None]:
    others = {f"{split}'s others": split_files.load_others(split) for split in ("train", "test")}
    return {**{split: split_files.load_split(split)[0] for split in SPLITS}, **others}


def test_the_pixels_and_the_report_are_the_same(photos: Path) -> None:
    prepare("pixels")
    decoded = {name: np.array(array) for name, array in inputs().items()}
    report = artifacts.load_json(artifacts.REPORTS / "preprocess.json")
    prepare("compressed")
    assert not list(artifacts.PREPARED.rglob("images.npy"))
    compressed = inputs()
    for name, pixels in decoded.items():
        images = pictures.on_disk(compressed[name])
        assert images is not None
        np.testing.assert_array_equal(images[:], pixels)
        np.testing.assert_array_equal(images[[3, 0]], pixels[[3, 0]])
    assert artifacts.load_json(artifacts.REPORTS / "preprocess.json") == report
    size = sum(path.stat().st_size for path in artifacts.PREPARED.rglob("*") if path.is_file())
    assert size < 300 * 200  # bytes for each picture


def test_a_picture_that_has_changed_is_named(photos: Path) -> None:
    prepare("compressed")
    images = pictures.on_disk(split_files.load_split("train")[0])
    assert images is not None
    name = photos / "photos" / images.rows[5].file
    shutil.copy(photos / "photos" / images.rows[6].file, name)
    with pytest.raises(UserError, match=rf"{images.rows[5].file} has changed since `download`"):
        images[:8]


def train() -> str:
    subprocess.run([sys.executable, "-m", "pipeline.train"], env=environment(), check=True)
    return artifacts.sha256(artifacts.MODEL)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


@pytest.mark.slow
@pytest.mark.long
def test_the_weights_are_the_same_also_after_a_kill(photos: Path) -> None:
    prepare("pixels")
    weights = train()
    prepare("compressed")
    with subprocess.Popen([sys.executable, "-m", "pipeline.train"], env=environment()) as process:
        while process.poll() is None:
            states = list(Path(".state/train").rglob("checkpoint.json"))
            if any(artifacts.load_json(path)["rows"] for path in states):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
    assert process.returncode == -signal.SIGKILL
    assert train() == weights
    assert TrainReport.load().epochs == 3


@pytest.mark.slow
@pytest.mark.long
def test_the_features_of_frozen_layers_are_the_same(photos: Path) -> None:
    prepare("pixels", **{"dataset.other": params.NONE})
    train()
    shutil.copy(artifacts.MODEL, "start.keras")
    frozen = {
        "dataset.other": params.NONE,
        "train.start_from": "start.keras",
        "train.freeze": "all",
        "train.augmentation": [],
    }
    configure({**VALUES, **frozen})
    weights = train()
    features = sorted(Path(".state/features").rglob("*.npy"))
    computed = {path.name: artifacts.sha256(path) for path in features}
    assert computed
    shutil.rmtree(".state/features")
    prepare("compressed", **frozen)
    assert train() == weights
    features = sorted(Path(".state/features").rglob("*.npy"))
    assert {path.name: artifacts.sha256(path) for path in features} == computed


@pytest.mark.slow
@pytest.mark.long
def test_every_stage_writes_the_same_files(
    project: Project, run_stages: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(project.folder)
    project.change({**VALUES, "export.formats": ["tflite_int8", "onnx_float32"]})
    project.change({"export.calibration_images": 50, "verify.require": "not worse"})
    monkeypatch.setattr(material, "SCRATCH_BYTES", 30_000)  # 25 pictures
    monkeypatch.setattr(_proof, "PART_BYTES", 30_000)
    run_stages(project, *STAGES[:-1])
    package.package(draft=True)
    before, verdicts = written(), verified()
    project.change({"preprocess.store": "compressed"})
    run_stages(project, *STAGES[STAGES.index("preprocess") : -1])
    package.package(draft=True)
    assert written() == before
    assert verified() == verdicts


def verified() -> list[dict[str, Any]]:
    """The report on each pair without its latency."""
    pairs = artifacts.load_json(artifacts.REPORTS / "verify.json")["pairs"]
    return [{name: pair[name] for name in pair if "milliseconds" not in name} for pair in pairs]


def written() -> dict[str, str]:
    """The SHA-256 of every output that holds no time and no fingerprint."""
    folders = ("model", "evaluation", "exported", "embedded")
    paths = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    paths += [*Path("reports").glob("*.png"), Path("reports/evaluate.json")]
    paths += [Path("reports/preprocess.json"), Path("reports/baseline.json")]
    return {str(path): artifacts.sha256(path) for path in paths}
