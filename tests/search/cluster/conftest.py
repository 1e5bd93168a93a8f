"""A project to train on a real Dask cluster, and its results on one machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EDGEPROOF, Project
from tests.dask_cluster import DaskCluster

TIMES = ("seconds", "images_per_second")
FOLDS = [*EDGEPROOF, "folds", "--folds", "2", "-S", "train.epochs=2"]
CHECKPOINT = "*/.state/trials/*/checkpoint.json"


@pytest.fixture(scope="session")
def expected(tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of FOLDS on one machine, with as many threads as two workers have on it."""
    project = own(tiny, tmp_path_factory.mktemp("alone") / "project")
    project.run(*FOLDS, "--workers", "2")
    return results(project.folder)


@pytest.fixture
def project(tiny: Project, tmp_path: Path) -> Project:
    return own(tiny, tmp_path / "project")


def own(tiny: Project, folder: Path) -> Project:
    """The tiny project in another folder, without what was trained in it."""
    other = tiny.copy(folder)
    shutil.rmtree(folder / ".state", ignore_errors=True)
    return other


def results(folder: Path) -> dict[str, Any]:
    """What the trainings of a project have left, by file, without the times that they took."""
    contents: dict[str, Any] = {}
    for path in sorted((folder / ".state" / "trials").glob("*.*")):
        contents[path.name] = path.read_bytes()
        if path.suffix == ".json":
            contents[path.name] = json.loads(contents[path.name])
            for row in contents[path.name]["rows"]:
                for time in TIMES:
                    del row[time]
    return contents


def on(running: DaskCluster, *command: str) -> tuple[str, ...]:
    return (*command, "--cluster", running.address)
