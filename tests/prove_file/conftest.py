"""A linear model of digits in files of somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import Raw
from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.prove import FileReport
from pipeline.files.reports.verify import ComparedPair
from pipeline.training.batches import Data
from tests.conftest import ROOT, SMALL, Project
from tests.foreign_files import Linear

DIGITS = [str(digit) for digit in range(10)]
UNIT, RAW = ([0.0], [255.0]), ([0.0], [1.0])
SPLITS = {"train": (0, 2000), "validation": (2000, 2600), "test": (2600, 3600)}


@pytest.fixture(scope="session")
def data(raw_mnist: Raw) -> Data:
    def part(split: str) -> tuple[Array, Array]:
        rows = slice(*SPLITS[split])
        return raw_mnist.train_images[rows], raw_mnist.train_labels[rows]

    return Data(part("train"), part("validation"), 10)


@pytest.fixture(scope="session")
def linear(data: Data) -> Linear:
    return Linear.nearest_mean(*data.train, *UNIT)


@pytest.fixture
def prepared(raw_mnist: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with prepared data and params, in which the tests run."""
    monkeypatch.chdir(tmp_path)
    for name in ("pipeline", "serving", "pyproject.toml", "uv.lock"):
        Path(name).symlink_to(ROOT / name)
    for split, rows in SPLITS.items():
        folder = artifacts.PREPARED / split
        folder.mkdir(parents=True)
        artifacts.save_array(folder / "images.npy", raw_mnist.train_images[slice(*rows)])
        artifacts.save_array(folder / "labels.npy", raw_mnist.train_labels[slice(*rows)])
    description = Description("mnist", DIGITS, (28, 28, 1), {}, [])
    artifacts.save_description(artifacts.DESCRIPTION, description)
    configure({})
    yield tmp_path


def configure(values: dict[str, Any]) -> None:
    """Writes params.yaml, by default for this processor alone."""
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    project = Project(Path(), Path())
    project.change({**SMALL, "verify.processors": ["native"], **values})


def report() -> FileReport:
    return FileReport.load()


def compared(file_report: FileReport, runtime: str, processor: str = "native") -> ComparedPair:
    (pair,) = (
        pair for pair in file_report.pairs if (pair.runtime, pair.processor) == (runtime, processor)
    )
    assert isinstance(pair, ComparedPair), pair
    return pair
