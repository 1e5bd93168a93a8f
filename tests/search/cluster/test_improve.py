"""`improve` and `make seeds` train on a real Dask cluster, and go on as on one machine."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import dask_cluster
from tests.conftest import EDGEPROOF, Project
from tests.dask_cluster import DaskCluster, checkout
from tests.search.cluster.conftest import on, shown
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

IMPROVE = [*EDGEPROOF, "improve", "--quick", "-S", "train.architecture=mlp"]
IMPROVE += ["-S", "problem.target=0.9999"]  # which is not reached
# So that threads are as many on each worker as on one machine
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1"}
OUTPUTS = ("model/model.keras", "evaluation/validation.npz")
CHECKPOINT = "*/.state/remote/*/state.json"


@pytest.fixture(scope="module")
def prepared(fresh: Project, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with git, DVC and raw data, in which nothing is trained."""
    folder = tmp_path_factory.mktemp("improve") / "project"
    project = Project(dask_cluster.copied(fresh.folder, folder), mirror)
    project.run("dvc", "repro", "download")
    project.commit()
    return project


@pytest.fixture
def own(prepared: Project, mirror: Path, tmp_path: Path) -> Project:
    return Project(dask_cluster.copied(prepared.folder, tmp_path / "project"), mirror)


@pytest.fixture(scope="module")
def dask(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with two workers in folders of their own, which have no data."""
    folder = tmp_path_factory.mktemp("dask")
    with dask_cluster.cluster(folder / "scheduler", environment=ONE_THREAD) as running:
        for name in ("one", "two"):
            running.join(checkout(prepared, folder / name))
        yield running


def digests(project: Project) -> dict[str, list[str]]:
    """For each experiment, what DVC's lock file says of the outputs of its training."""
    names = project.run("dvc", "exp", "list", "--all-commits", "--name-only").split()
    found = {}
    for name in names:
        lock = project.run("git", "show", f"{name}:dvc.lock")
        found[name] = [re.search(rf"path: {path}\n.*\n *md5: (\w+)", lock)[1] for path in OUTPUTS]
    return found


def test_candidates_side_by_side_are_those_of_one_machine(
    dask: DaskCluster, own: Project, prepared: Project, mirror: Path, tmp_path: Path
) -> None:
    said = own.run(*on(dask, *IMPROVE, "--budget", "3"), **ONE_THREAD)
    print(said)
    print((own.folder / "reports/improvement.md").read_text())
    print(digests(own))
    assert 0
