"""Trainings on a real Dask cluster: equal results, losses, refusals, and how a command ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.process.errors import UserError
from pipeline.search import cluster as client
from pipeline.search import cluster_worker
from pipeline.search.engine import Engine
from tests import dask_cluster
from tests.conftest import EDGEPROOF, Project
from tests.dask_cluster import DaskCluster, checkout
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

TIMES = ("seconds", "images_per_second")
FOLDS = [*EDGEPROOF, "folds", "--folds", "2", "-S", "train.epochs=2"]
CHECKPOINT = "*/.state/trials/*/state.json"


@pytest.fixture(scope="session")
def expected(tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of FOLDS on one machine."""
    project = own(tiny, tmp_path_factory.mktemp("alone") / "project")
    project.run(*FOLDS)
    return results(project.folder)


@pytest.fixture(scope="module")
def dask(tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with two workers in folders of their own, which have no data."""
    folder = tmp_path_factory.mktemp("dask")
    with dask_cluster.cluster(folder / "scheduler") as running:
        for name in ("one", "two"):
            running.join(checkout(tiny, folder / name))
        yield running


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
    found: dict[str, Any] = {}
    for path in sorted((folder / ".state" / "trials").glob("*.*")):
        found[path.name] = path.read_bytes()
        if path.suffix == ".json":
            found[path.name] = json.loads(found[path.name])
            for row in found[path.name]["rows"]:
                for time in TIMES:
                    del row[time]
    return found


def on(running: DaskCluster, *command: str) -> tuple[str, ...]:
    return (*command, "--cluster", running.address)


def shown(project: Project) -> str:
    return (project.folder.parent / f"{project.folder.name}.log").read_text()


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


def test_a_sweep_runs_on_a_cluster(dask: DaskCluster, project: Project) -> None:
    """The study is a file, which these workers can reach."""
    command = [*EDGEPROOF, "sweep", "train.epochs=1,2", "--sampler", "grid"]
    said = project.run(*on(dask, *command), EDGEPROOF_CLUSTER="tcp://127.0.0.1:9")
    assert "The best of 2 trials" in said


def test_a_killed_worker_costs_only_the_epoch_that_it_was_in(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """Both workers share the folder of the project, and are held in their second epoch."""
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=2)
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        first, _ = [running.join(project.folder, **hold.environment) for _ in range(2)]
        command = project.start(*on(running, *FOLDS))
        hold.wait(command, 2)
        checkpoints = list((project.folder / ".state" / "trials").glob("*/state.json"))
        kept = {path.parent.name: json.loads(path.read_text())["rows"] for path in checkpoints}
        dask_cluster.kill(first)
        wait_for(lambda: "another one takes over" in shown(project), command)
        hold.release()
        assert command.wait(SECONDS) == 0, shown(project)
    assert "its worker has ended (no connection to tcp://127.0.0.1:" in shown(project)
    assert results(project.folder) == expected
    assert len(kept) == 2
    for key, rows in kept.items():
        again = json.loads((project.folder / f".state/trials/{key}.json").read_text())["rows"]
        assert [row["seconds"] for row in rows] == [again[0]["seconds"]]


def test_after_the_scheduler_was_killed_the_same_command_trains_nothing_twice(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """The second training is held in its second epoch when the scheduler is killed."""
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=4)
    folder = checkout(tiny, tmp_path / "worker")
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        worker = running.join(folder, **hold.environment)
        command = project.start(*on(running, *FOLDS))
        hold.wait(command)
        (first,) = results(project.folder).keys() & {
            path.name for path in (project.folder / ".state/trials").glob("*.json")
        }
        assert running.scheduler
        dask_cluster.kill(running.scheduler)
        assert command.wait(SECONDS) == 1
        *_, last = shown(project).splitlines()
        assert last.startswith(f"error: the connection to the scheduler {running.address} is lost")
        assert "distributed" not in shown(project)
        before = (project.folder / ".state/trials" / first).read_bytes()
        worker.wait(SECONDS)
        running.start()
        running.join(folder)
        said = project.run(*on(running, *FOLDS))
    assert "1 of 2 trainings already done" in said
    assert (project.folder / ".state/trials" / first).read_bytes() == before
    assert results(project.folder) == expected


def test_ctrl_c_ends_the_training_and_leaves_the_worker(
    tiny: Project, project: Project, tmp_path: Path
) -> None:
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=2)
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        worker = running.join(checkout(tiny, tmp_path / "worker"), **hold.environment)
        command = project.start(*on(running, *FOLDS))
        hold.wait(command)
        (training,) = hold.held()
        command.send_signal(signal.SIGINT)
        assert command.wait(SECONDS) == 130
        assert "stopped; finished trainings are kept, the same command continues" in shown(project)
        wait_for(lambda: not psutil.pid_exists(training))
        assert worker.poll() is None
        hold.release()
        project.run(*on(running, *FOLDS))


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
        nanny = running.join(folder, "--nthreads", "1")
        alone = project.attempt(*on(running, *FOLDS))
        running.join(folder)
        said = project.run(*on(running, *FOLDS))
        os.killpg(nanny.pid, signal.SIGKILL)  # it would start its worker again
    assert "start it with --no-nanny" in alone.stderr
    assert said.count("start it with --no-nanny") == 1
    assert results(project.folder) == expected


def test_an_address_without_a_scheduler_is_told_in_one_sentence(project: Project) -> None:
    done = project.attempt(*FOLDS, EDGEPROOF_CLUSTER="127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --cluster is 127.0.0.1:9, where no scheduler answers (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["nobody://127.0.0.1:9", "tls://127.0.0.1:9", "tcp://a:b"])
def test_an_address_that_cannot_be_one_is_told_at_once(address: str) -> None:
    with pytest.raises(UserError, match=f"--cluster is {address}, where no scheduler answers"):
        client.connected(address)


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
        running.join(checkout(tiny, tmp_path / "worker"))
        without = project.attempt(*on(running, *FOLDS))
        assert "where no scheduler answers" in without.stderr
        plain = running.address.replace("tls", "tcp")
        assert "where no scheduler" in project.attempt(*FOLDS, "--cluster", plain).stderr
        project.run(*on(running, *FOLDS), **environment)
    assert results(project.folder) == expected


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
    with pytest.raises(UserError, match="other bytes"):
        cluster_worker.keep("somebody", digest, b"other", True)
    assert cluster_worker.place("key", {"data": digest})[1] == ["data"]
    assert not list(cluster_worker.FILES.iterdir())


def test_a_worker_that_introduces_itself_as_an_older_checkout_does_is_told_the_cure() -> None:
    refusal = client.refusal({"code": {}, "cores": 2}, cluster_worker.installation())
    assert refusal == "its code differs; check out the same commit"
    assert "cannot run this project" in str(
        client.refusal(OSError(), cluster_worker.installation())
    )
