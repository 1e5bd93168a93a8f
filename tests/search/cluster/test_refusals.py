"""Which workers, addresses and files are refused, and in which sentence."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.process.errors import UserError
from pipeline.search import cluster as client
from pipeline.search import cluster_connection, cluster_worker
from pipeline.search.engine import Engine
from tests import dask_cluster
from tests.conftest import Project
from tests.dask_cluster import THREADS_OF_TWO, checkout
from tests.search.cluster.conftest import FOLDS, on, results

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def other_code(folder: Path) -> dict[str, str]:
    with (folder / "pipeline/training/fit.py").open("a") as file:
        file.write("# other\n")
    return {}


def other_backend(folder: Path) -> dict[str, str]:
    return {"KERAS_BACKEND": "jax"}


def other_package(folder: Path) -> dict[str, str]:
    (folder / "keras-0.1.dist-info").mkdir()
    (folder / "keras-0.1.dist-info/METADATA").write_text("Name: keras\nVersion: 0.1\n")
    return {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_code, "its code differs in 1 file, such as pipeline/training/fit.py;"),
        (other_backend, "its KERAS_BACKEND is jax, and here it is tensorflow;"),
        (other_package, "its keras is 0.1, and here it is "),
    ],
)
def test_a_worker_with_other_code_or_another_environment_is_refused(
    change: Any, sentence: str, tiny: Project, project: Project, tmp_path: Path
) -> None:
    folder = checkout(tiny, tmp_path / "worker")
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        running.join(folder, **change(folder))
        done = project.attempt(*on(running, *FOLDS))
    assert done.returncode == 1
    assert "is refused: " + sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_refused_worker_leaves_the_work_to_the_others(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """It has a nanny, under which it may start no process."""
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        folder = checkout(tiny, tmp_path / "worker")
        nanny = running.join(folder, "--nthreads", "1", **THREADS_OF_TWO)
        alone = project.attempt(*on(running, *FOLDS))
        running.join(folder, **THREADS_OF_TWO)
        output = project.run(*on(running, *FOLDS))
        os.killpg(nanny.pid, signal.SIGKILL)  # it would start its worker again
    assert "start it with --no-nanny" in alone.stderr
    assert output.count("start it with --no-nanny") == 1
    assert results(project.folder) == expected


def test_an_address_without_a_scheduler_is_told_in_one_sentence(project: Project) -> None:
    done = project.attempt(*FOLDS, EDGEPROOF_CLUSTER="127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --cluster is 127.0.0.1:9, where no scheduler answers (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["nobody://127.0.0.1:9", "tls://127.0.0.1:9", "tcp://a:b"])
def test_an_address_that_cannot_be_one_is_told_at_once(address: str) -> None:
    with pytest.raises(UserError, match=f"--cluster is {address}, where no scheduler answers"):
        cluster_connection.connected(address)


def test_a_file_outside_the_project_is_refused() -> None:
    for path in ("/etc/model.keras", "../model.keras"):
        with pytest.raises(UserError, match=f"{path} lies outside the project"):
            client._inside(Path(path))


def test_workers_of_this_machine_and_a_cluster_are_not_both_given() -> None:
    with pytest.raises(UserError, match="expected one of them"):
        Engine(2, "tcp://127.0.0.1:8786")


def test_a_file_that_arrives_with_other_bytes_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = "0" * 64
    cluster_worker.keep("somebody", digest, b"half", False)
    with pytest.raises(UserError, match="damaged on the way"):
        cluster_worker.keep("somebody", digest, b"other", True)
    assert cluster_worker.place("key", {"data": digest})[1] == ["data"]
    assert not list(cluster_worker.FILES.iterdir())


def test_a_worker_that_introduces_itself_as_an_older_checkout_does_is_told_the_cure() -> None:
    refusal = client.refusal({"code": {}, "cores": 2}, cluster_worker.installation())
    assert refusal == "its code differs; check out the same commit"
    assert "cannot run this project" in str(
        client.refusal(OSError(), cluster_worker.installation())
    )
