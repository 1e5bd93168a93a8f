"""Trainings on a real Dask cluster have the results of one machine, on loopback and with TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask import config

from pipeline.doctor import Finding
from pipeline.search import server_checks
from pipeline.search.cluster import Cluster
from tests import dask_cluster
from tests.conftest import EDGEPROOF, Project
from tests.dask_cluster import THREADS_OF_TWO, DaskCluster, checkout
from tests.search.cluster.conftest import FOLDS, on, results

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def dask(tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with two workers in folders of their own, which have no data."""
    folder = tmp_path_factory.mktemp("dask")
    with dask_cluster.cluster(folder / "scheduler") as running:
        for name in ("one", "two"):
            running.join(checkout(tiny, folder / name))
        yield running


def test_results_are_those_of_one_machine_and_are_not_trained_again(
    dask: DaskCluster, project: Project, expected: dict[str, Any]
) -> None:
    first, second = project.run(*on(dask, *FOLDS)), project.run(*on(dask, *FOLDS))
    assert first.count("sending 3 files, 47.1 MB") == 2  # the workers had no data
    assert results(project.folder) == expected
    assert len(expected) == 4
    assert "2 of 2 trainings already done" in second
    for worker in dask.workers:
        assert not [process for process in dask_cluster.tree(worker) if "main" in process.cmdline()]


def test_nothing_listens_but_on_loopback(dask: DaskCluster) -> None:
    assert dask.scheduler
    processes = [psutil.Process(process.pid) for process in (dask.scheduler, *dask.workers)]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2 * len(processes)
    assert set(listening) == {"127.0.0.1"}


def test_the_doctor_says_the_version_of_the_scheduler_and_how_many_workers_it_has(
    dask: DaskCluster, tmp_path: Path
) -> None:
    version = metadata.version("distributed")
    fact = f"{dask.address} has version {version} and 2 workers for 2 trainings at a time"
    assert server_checks.dask(dask.address) == Finding("cluster", fact)
    with dask_cluster.cluster(tmp_path / "scheduler") as alone:
        finding = server_checks.dask(alone.address)
    assert finding.state == "note"
    assert f"has version {version} and no worker; start one with `dask worker" in finding.fact


def test_no_worker_is_missed_while_dask_asks_in_another_thread(dask: DaskCluster) -> None:
    """Its client asks for the scheduler's state without workers, once every 2 seconds by default.

    A worker that is missed counts as lost, and its training begins again.
    """
    with config.set({"distributed.client.scheduler-info-interval": "5ms"}):
        pool = Cluster((), dask.address)
    try:
        assert {len(pool._workers()) for _ in range(500)} == {2}
    finally:
        pool.end()


def test_a_sweep_runs_on_a_cluster(dask: DaskCluster, project: Project) -> None:
    """The study is a file, which these workers can reach."""
    command = [*EDGEPROOF, "sweep", "train.epochs=1,2", "--sampler", "grid"]
    output = project.run(*on(dask, *command), EDGEPROOF_CLUSTER="tcp://127.0.0.1:9")
    assert "The best of 2 trials" in output


def test_with_tls_nobody_without_a_certificate_reaches_the_scheduler(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=edgeproof", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    environment = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate),
        **{
            f"DASK_DISTRIBUTED__COMM__TLS__{part}__{kind}": str(path)
            for part in ("SCHEDULER", "WORKER", "CLIENT")
            for kind, path in (("KEY", key), ("CERT", certificate))
        },
    }
    with dask_cluster.cluster(
        tmp_path / "scheduler", "--protocol", "tls", environment=environment
    ) as running:
        assert running.address.startswith("tls://")
        running.join(checkout(tiny, tmp_path / "worker"), **THREADS_OF_TWO)
        without = project.attempt(*on(running, *FOLDS))
        assert "where no scheduler answers" in without.stderr
        plain = running.address.replace("tls", "tcp")
        assert "where no scheduler" in project.attempt(*FOLDS, "--cluster", plain).stderr
        project.run(*on(running, *FOLDS), **environment)
    assert results(project.folder) == expected
