"""A project whose trainings take a second, and what the tests of the searches ask of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.search import cached_training, sweep
from pipeline.search.analysis import Analysis, AnalysisOptions
from pipeline.search.sweep import SweepSettings
from pipeline.tracking import local_store
from tests.conftest import Project

TINY = {
    "preprocess.subset": 600,
    "train.architecture": "mlp",
    "train.network.hidden": [16],
    "train.augmentation": [],
    "train.epochs": 1,
    "train.batch_size": 90,
    "train.steps_per_execution": 1,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project with its raw data and a training that takes a second."""
    project = Project(tmp_path_factory.mktemp("search"), mirror).begin()
    project.change(TINY)
    project.run("python", "-m", "pipeline.download")
    return project


@pytest.fixture
def here(tiny: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from inside(tiny, monkeypatch)


def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the project, in which a test runs analyses in this process."""
    monkeypatch.chdir(project.folder)
    # MLflow keeps the store of an earlier test of this process in the environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local_store.address(project.folder))
    cached_training.data_digests.cache_clear()
    yield project.folder
    cached_training.data_digests.cache_clear()


def analysis(name: str) -> Analysis:
    return Analysis(name, AnalysisOptions())


def started(*space: str, options: AnalysisOptions | None = None, **settings: Any) -> Any:
    return sweep.start(SweepSettings(space, **settings), options or AnalysisOptions())


def children(folder: Path, title: str) -> list[tuple[str, str]]:
    """Name and status of the children in MLflow of the run called `title`."""
    with sqlite3.connect(folder / "mlflow.db") as store:
        (parent,) = store.execute(
            "select run_uuid from runs where name = ? and status = 'FINISHED'", [title]
        ).fetchall()
        query = (
            "select name, status from runs join tags using (run_uuid)"
            " where tags.key = 'mlflow.parentRunId' and tags.value = ?"
        )
        return store.execute(query, parent).fetchall()
