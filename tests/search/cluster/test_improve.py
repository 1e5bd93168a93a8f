"""`improve` and `make seeds` train on a real Dask cluster, and go on as on one machine."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests import dask_cluster
from tests.conftest import EDGEPROOF, Project
from tests.dask_cluster import THREADS_OF_TWO, DaskCluster, checkout
from tests.search.cluster.conftest import on
from tests.waiting import SECONDS, Hold, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

IMPROVE = [*EDGEPROOF, "improve", "--quick", "-S", "train.architecture=mlp"]
IMPROVE += ["-S", "problem.target=0.9999"]  # which is not reached
SEEDS = ("python", "-m", "benchmarks.seeds", "--until", "evaluate")
CHECKPOINT = "*/.state/remote/*/checkpoint.json"
EPOCH = re.compile(r"^epoch +\d+: ", re.MULTILINE)  # as the stage `train` prints it


@pytest.fixture(scope="module")
def prepared(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with git, DVC and raw data, in which nothing is trained."""
    project = fresh.whole_copy(tmp_path_factory.mktemp("improve") / "project")
    project.run("dvc", "repro", "download")
    project.commit()
    return project


@pytest.fixture(scope="module")
def dask(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with two workers in folders of their own, which have no data."""
    folder = tmp_path_factory.mktemp("dask")
    with dask_cluster.cluster(folder / "scheduler", environment=THREADS_OF_TWO) as running:
        for name in ("one", "two"):
            running.join(checkout(prepared, folder / name))
        yield running


@pytest.fixture(scope="module")
def started(
    prepared: Project, dask: DaskCluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, str]:
    """A project after the start alone, and what the command said.

    Two changes follow it on every processor; how many follow these depends on what they brought.
    """
    project = prepared.whole_copy(tmp_path_factory.mktemp("started") / "project")
    return project, project.run(*on(dask, *IMPROVE, "--budget", "1"), **THREADS_OF_TWO)


@pytest.fixture(scope="module")
def improved(
    started: tuple[Project, str], dask: DaskCluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, str]:
    """A project after the start and two changes side by side, and what the commands said."""
    before, output = started
    project = before.whole_copy(tmp_path_factory.mktemp("improved") / "project")
    return project, output + project.run(*on(dask, *IMPROVE, "--budget", "3"), **THREADS_OF_TWO)


def trained(project: Project) -> dict[str, tuple[str, ...]]:
    """By the name of each experiment, the MD5 of its model and of its validation predictions."""
    refs = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    outputs = ("model/model.keras", "evaluation/validation.npz")
    locks = {
        Path(ref).name: YAML(typ="safe").load(project.run("git", "show", f"{ref}:dvc.lock"))
        for ref in refs
        if Path(ref).name.startswith("improve-")
    }
    return {
        name: tuple(out["md5"] for out in lock["stages"]["train"]["outs"] if out["path"] in outputs)
        for name, lock in locks.items()
    }


def test_candidates_side_by_side_are_those_of_one_machine(
    improved: tuple[Project, str], prepared: Project, tmp_path: Path
) -> None:
    project, output = improved
    alone = prepared.whole_copy(tmp_path / "alone")
    said_alone = alone.run(*IMPROVE, "--budget", "2", **THREADS_OF_TWO)
    side_by_side, one_by_one = trained(project), trained(alone)
    assert (len(side_by_side), len(one_by_one)) == (3, 2)
    assert all(len(outputs) == 2 for outputs in side_by_side.values())
    assert one_by_one.items() <= side_by_side.items()
    assert len(EPOCH.findall(said_alone)) == 4
    assert not EPOCH.findall(output)  # none was trained here
    assert output.count("2 epochs trained in") == 3
    assert output.count("1 training of 2 epochs, each on 1,800 examples") == 1
    assert output.count("2 trainings of 2 epochs, each on 1,800 examples") == 1
    assert output.count("sending 5 files, 55.0 MB") == 2
    assert not list((project.folder / ".state/remote").iterdir())
    assert not list((project.folder / ".state/train").iterdir())
    with sqlite3.connect(project.folder / "mlflow.db") as store:
        query = "select count(*) from metrics where key = 'validation_loss' group by run_uuid"
        assert store.execute(query).fetchall() == [(2,)] * 3


def test_the_story_says_what_was_tried_side_by_side(improved: tuple[Project, str]) -> None:
    project, output = improved
    ledger = (project.folder / "reports/improvement.md").read_text()
    assert "steps 2 to 3 of at most 3, side by side (about " in output
    titles = re.findall(r"^## \d\. (.*): (.*)$", ledger, re.MULTILINE)
    names = [name for name, _ in titles]
    assert len(titles) == 2
    assert sum(verdict == "confirmed, kept" for _, verdict in titles) <= 1
    for (name, verdict), other in zip(titles, reversed(names), strict=True):
        assert f"Tried side by side with {other}: each against the same best so far" in ledger
        assert re.search(rf"^{name} \(improve-\S+\): .*, {verdict}$", output, re.MULTILINE)
    assert ledger.count("after Holm's correction for all 4 of them") == 2


def test_a_budget_below_the_number_of_workers_is_kept_and_what_is_finished_is_read(
    improved: tuple[Project, str], dask: DaskCluster
) -> None:
    project, _ = improved
    before = trained(project)
    output = project.run(*on(dask, *IMPROVE, "--budget", "2"), **THREADS_OF_TWO)
    assert "step 2 of at most 2 (about " in output
    assert "not reached with 2 trainings" in output
    assert "trained in" not in output
    assert trained(project) == before


def test_a_worker_killed_in_a_training_costs_that_training_only(
    started: tuple[Project, str], tmp_path: Path
) -> None:
    """Both workers are held in the second epoch of their trainings."""
    project = started[0].whole_copy(tmp_path / "project")
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=2)
    with dask_cluster.cluster(tmp_path / "scheduler", environment=THREADS_OF_TWO) as running:
        folders = [checkout(project, tmp_path / name) for name in ("one", "two")]
        first, _ = [running.join(folder, **hold.environment) for folder in folders]
        command = project.start(*on(running, *IMPROVE, "--budget", "3"), **THREADS_OF_TWO)
        hold.wait(command, 2)
        dask_cluster.kill(first)
        wait_for(lambda: "another one takes over" in project.log.read_text(), command)
        hold.release()
        assert command.wait(SECONDS) == 0, project.log.read_text()
    assert project.log.read_text().count("its worker has ended") == 1
    assert project.log.read_text().count("2 epochs trained in") == 2
    assert not EPOCH.findall(project.log.read_text())
    assert len(trained(project)) == 3
    assert trained(started[0]).items() <= trained(project).items()


@pytest.mark.parametrize("how", ["scheduler", "ctrl-c"])
def test_after_an_interruption_the_same_command_trains_nothing_twice(
    how: str, started: tuple[Project, str], tmp_path: Path
) -> None:
    """One worker has finished its training, and the other is held, when it happens."""
    project = started[0].whole_copy(tmp_path / "project")
    hold = Hold(tmp_path / "hold", CHECKPOINT, times=2)
    three = [*IMPROVE, "--budget", "3"]
    with dask_cluster.cluster(tmp_path / "scheduler", environment=THREADS_OF_TWO) as running:
        folders = [checkout(project, tmp_path / name) for name in ("one", "two")]
        workers = [running.join(folders[0], **hold.environment), running.join(folders[1])]
        command = project.start(*on(running, *three), **THREADS_OF_TWO)
        hold.wait(command)
        results = project.folder / ".state/remote"
        wait_for(lambda: list(results.glob("*.json")), command)
        if how == "scheduler":
            assert running.scheduler
            dask_cluster.kill(running.scheduler)
            assert command.wait(SECONDS) == 1
            *_, last = project.log.read_text().splitlines()
            assert last.startswith(f"error: the connection to the scheduler {running.address} is")
            for worker in workers:
                worker.wait(SECONDS)
            running.start()
            for folder in folders:
                running.join(folder)
        else:
            command.send_signal(signal.SIGINT)
            assert command.wait(SECONDS) == 130
            assert "stopped; finished trainings are kept" in project.log.read_text()
            hold.release()
        (archive,) = results.glob("*.tar")
        assert len(trained(project)) == 1
        output = project.run(*on(running, *three), **THREADS_OF_TWO)
    assert output.count("2 epochs trained in") == 1
    assert not archive.exists()
    assert not EPOCH.findall(output)
    assert len(trained(project)) == 3


def test_data_that_are_not_those_of_params_yaml_are_refused(
    fresh: Project, prepared: Project, tmp_path: Path
) -> None:
    nobody = {"EDGEPROOF_CLUSTER": "127.0.0.1:9"}
    project = fresh.whole_copy(tmp_path / "project")
    without = project.attempt(*IMPROVE, **nobody)
    assert without.stderr.splitlines()[-1].startswith("error: data/raw, on which a cluster trains,")
    project = prepared.whole_copy(tmp_path / "prepared")
    other = project.attempt(*IMPROVE, "-S", "dataset.name=fashion_mnist", **nobody)
    assert other.stderr.splitlines()[-1].startswith("error: dataset is changed for this command,")
    unreachable = project.attempt(*IMPROVE, **nobody)
    (sentence,) = [line for line in unreachable.stderr.splitlines() if line.startswith("error: ")]
    assert sentence.startswith("error: --cluster is 127.0.0.1:9, where no scheduler answers (")
    assert "Traceback" not in without.stderr + other.stderr + unreachable.stderr


def test_seeds_that_a_cluster_trains_have_the_models_of_one_machine(
    prepared: Project, dask: DaskCluster, tmp_path: Path
) -> None:
    here, there = (prepared.whole_copy(tmp_path / name) for name in ("here", "there"))
    for project in (here, there):
        project.change({"preprocess.subset": 1000, "train.architecture": "mlp"})
        project.commit()
    here.run(*SEEDS, "--seeds", "1", **THREADS_OF_TWO)
    output = there.run(*on(dask, *SEEDS, "--seeds", "2"), **THREADS_OF_TWO)
    assert output.count("2 epochs trained in") == 2
    logs = [path.read_text() for path in there.folder.glob(".state/seeds/*/seed-*.log")]
    assert len(logs) == 2
    assert not any(EPOCH.findall(log) for log in logs)
    assert models(here) < models(there)
    assert (len(models(here)), len(models(there))) == (1, 2)
    rows = [
        json.loads((project.folder / "benchmarks/seeds.json").read_text())["rows"]
        for project in (here, there)
    ]
    assert rows[0][0]["test_accuracy"] == rows[1][0]["test_accuracy"]
    assert [row["seed"] for row in rows[1]] == [0, 1]
    assert not list((there.folder / ".state/remote").iterdir())


def models(project: Project) -> set[str]:
    """The MD5 of the Keras models that the seeds of a project have left in their cache."""
    files = (project.folder / ".state/seeds/cache").glob("files/md5/*/*")
    return {
        f"{path.parent.name}{path.name}"
        for path in files
        if zipfile.is_zipfile(path) and "model.weights.h5" in zipfile.ZipFile(path).namelist()
    }
