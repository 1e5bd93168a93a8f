"""A worker or the scheduler is killed, or the command: what is trained is kept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import dask_cluster
from tests.conftest import Project
from tests.dask_cluster import THREADS_OF_TWO, checkout
from tests.search.cluster.conftest import CHECKPOINT, FOLDS, on, results
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_killed_worker_costs_only_the_epoch_that_it_was_in(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """Both workers share the folder of the project, and are held in their second epoch."""
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=2)
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        first, _ = [running.join(project.folder, **hold.environment) for _ in range(2)]
        command = project.start(*on(running, *FOLDS))
        hold.wait(command, 2)
        checkpoints = list((project.folder / ".state" / "trials").glob("*/checkpoint.json"))
        rows_of = {path.parent.name: json.loads(path.read_text())["rows"] for path in checkpoints}
        dask_cluster.kill(first)
        wait_for(lambda: "another one takes over" in project.log.read_text(), command)
        hold.release()
        assert command.wait(SECONDS) == 0, project.log.read_text()
    assert "its worker has ended (no connection to tcp://127.0.0.1:" in project.log.read_text()
    assert results(project.folder) == expected
    assert len(rows_of) == 2
    for key, rows in rows_of.items():
        again = json.loads((project.folder / f".state/trials/{key}.json").read_text())["rows"]
        assert [row["seconds"] for row in rows] == [again[0]["seconds"]]


def test_after_the_scheduler_was_killed_the_same_command_trains_nothing_twice(
    tiny: Project, project: Project, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """The second training is held in its second epoch when the scheduler is killed."""
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=4)
    folder = checkout(tiny, tmp_path / "worker")
    with dask_cluster.cluster(tmp_path / "scheduler") as running:
        worker = running.join(folder, **hold.environment, **THREADS_OF_TWO)
        command = project.start(*on(running, *FOLDS))
        hold.wait(command)
        (first,) = results(project.folder).keys() & {
            path.name for path in (project.folder / ".state/trials").glob("*.json")
        }
        assert running.scheduler
        dask_cluster.kill(running.scheduler)
        assert command.wait(SECONDS) == 1
        *_, last = project.log.read_text().splitlines()
        assert last.startswith(f"error: the connection to the scheduler {running.address} is lost")
        assert "distributed" not in project.log.read_text()
        before = (project.folder / ".state/trials" / first).read_bytes()
        worker.wait(SECONDS)
        running.start()
        running.join(folder, **THREADS_OF_TWO)
        output = project.run(*on(running, *FOLDS))
    assert "1 of 2 trainings already done" in output
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
        assert (
            "stopped; finished trainings are kept, the same command continues"
            in project.log.read_text()
        )
        wait_for(lambda: not psutil.pid_exists(training))
        assert worker.poll() is None
        hold.release()
        project.run(*on(running, *FOLDS))
