"""A real Dask scheduler with workers on loopback, which the tests start and kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import Project
from tests.waiting import SECONDS, wait_for

HERE = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")  # as in docs/cluster.md
WORKER = ("--nthreads", "1", "--no-nanny")
# The threads of each of two workers here: on some processors the weights depend on their number
THREADS_OF_TWO = {"TF_NUM_INTRAOP_THREADS": str(max(1, (os.cpu_count() or 1) // 2))}


def program(name: str) -> list[str]:
    return [str(Path(sys.executable).with_name("dask")), name]


def run(folder: Path, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    """Starts a command in `folder`, in a process group of its own, with a log beside the folder."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    paths = [str(folder), *filter(None, [environment.pop("PYTHONPATH", "")])]
    with log_of(folder).open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**own, **environment, "PYTHONPATH": ":".join(paths)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def log_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.dask.log")


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills one process, and no other of its group."""
    process.send_signal(signal.SIGKILL)
    process.wait(SECONDS)


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@dataclass
class DaskCluster:
    """A scheduler in a folder, and workers in folders of their own or in that of a project."""

    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Starts the scheduler at a free port, or at the one that it had."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.folder / "scheduler.json"
        known.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        command = [*program("scheduler"), *HERE, "--port", port, *self.options]
        command += ["--scheduler-file", str(known)]
        self.scheduler = run(self.folder, *command, **self.environment)
        wait_for(lambda: known.exists() and "address" in known.read_text(), self.scheduler)
        self.address = known.read_text().split('"address": "')[1].split('"')[0]

    def join(self, folder: Path, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a worker in a folder, and waits until the scheduler has it."""
        before = self.registered()
        command = [*program("worker"), self.address, *HERE, *(options or WORKER), *self.options]
        worker = run(folder, *command, **{**self.environment, **environment})
        self.workers.append(worker)
        wait_for(lambda: self.registered() > before, worker)
        return worker

    def registered(self) -> int:
        return log_of(self.folder).read_text().count("Register worker addr")

    def end(self) -> None:
        for process in [*self.workers, *filter(None, [self.scheduler])]:
            if process.poll() is None:
                kill(process)


@contextmanager
def cluster(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[DaskCluster]:
    """A running scheduler without workers."""
    running = DaskCluster(folder, options, environment or {})
    try:
        running.start()
        yield running
    finally:
        running.end()


def checkout(project: Project, folder: Path) -> Path:
    """The code of a project in a folder of its own, without data."""
    own = {".git", ".dvc", ".state", "data", "reports", "mlruns"}  # also names within the code

    def ignored(parent: str, names: list[str]) -> set[str]:
        return own & set(names) if Path(parent) == project.folder else set()

    return Path(shutil.copytree(project.folder, folder, ignore=ignored))
