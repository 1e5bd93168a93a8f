"""What a worker of a cluster does for a command; `cluster` calls these functions there by name.

A training runs in the folder where the worker was started if that holds all files that it reads.
Otherwise it runs in a folder below .state/cluster, which is made of the files that the worker has
and of those that the command sends. Both know files by their SHA-256. .state/cluster may be deleted
while no training runs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from distributed import get_worker

from pipeline.files import artifacts, atomic, code
from pipeline.process.errors import UserError
from pipeline.search import workers
from pipeline.search.workers import Worker

FOLDER = artifacts.STATE / "cluster"
FILES = FOLDER / "files"  # by their SHA-256
CODE = (*code.PACKAGES, "lectures")
# What computes a training's numbers
PACKAGES = ("keras", "tensorflow", "jax", "jaxlib", "numpy", "scipy", "pillow", "h5py", "ml-dtypes")
THREADS = os.environ.get(workers.THREADS)  # as the user who started the worker has set it
SECONDS = 0.5  # between two looks whether the training is still wanted

idle: list[tuple[Any, Worker]] = []  # processes that have finished a training, and their places
lock = threading.Lock()


@dataclass(frozen=True)
class Installation:
    """What must be equal in a command and its workers."""

    code: dict[str, str]  # SHA-256 by path
    environment: dict[str, str]  # by name, as messages have it


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself. A daemon may start no processes of its own."""

    installation: Installation
    cores: int
    is_daemon: bool


def installation() -> Installation:
    """That of this process."""
    files = [path for folder in CODE for path in sorted((code.ROOT / folder).rglob("*.py"))]
    return Installation(
        code={str(path.relative_to(code.ROOT)): artifacts.sha256(path) for path in files},
        environment={
            "Python": platform.python_version(),
            "processor": platform.machine(),
            "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow"),
            **{name: _version(name) for name in PACKAGES},
        },
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def introduce() -> Introduction:
    daemon = multiprocessing.current_process().daemon
    return Introduction(installation(), os.cpu_count() or 1, daemon)


def place(key: str, files: Mapping[str, str]) -> tuple[str, list[str]]:
    """The folder for trainings that read `files`, SHA-256 by path, and the paths to be sent.

    `key` is a digest of `files`.
    """
    if all(_has(Path(path), digest) for path, digest in files.items()):
        return str(Path.cwd()), []
    folder = FOLDER / key
    for path, digest in files.items():
        stored = FILES / digest
        if not stored.exists() and _has(Path(path), digest):
            with atomic.replacing(stored) as temporary:
                shutil.copyfile(path, temporary)
        if stored.exists() and not (folder / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another worker in this folder was quicker
                os.link(stored, folder / path)
    return str(folder.absolute()), [path for path in files if not (folder / path).exists()]


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and artifacts.sha256(path) == digest


def keep(sender: str, digest: str, part: bytes, is_last: bool) -> None:
    """Adds a part to a file that `sender` sends. Raises UserError if it arrives damaged."""
    FILES.mkdir(parents=True, exist_ok=True)
    arriving = FILES / f".{digest}.{sender}"
    with arriving.open("ab") as file:
        file.write(part)
    if is_last:
        arrived = artifacts.sha256(arriving)
        if arrived != digest:
            arriving.unlink()
            raise UserError("a file was damaged on the way; run the command again")
        atomic.sync(arriving)
        arriving.replace(FILES / digest)


@dataclass(frozen=True)
class Placed:
    """A pickled task, which the process of a worker runs in a folder; its result is pickled too.

    So the worker itself imports nothing of it.
    """

    folder: str
    task: bytes

    def run(self, on_examples: Callable[[int], None]) -> bytes:
        with chdir(self.folder):
            return pickle.dumps(pickle.loads(self.task).run(on_examples))


@dataclass(frozen=True)
class Job:
    """A pickled task, and where a worker runs it. `outputs` are the files of its result."""

    name: str  # in Dask; its first part is the name of the command
    task: bytes
    folder: str
    key: str  # of the files in the folder
    outputs: Sequence[str]
    threads: int


def train(job: Job) -> tuple[str, Any, dict[str, bytes]]:
    """A message as by `workers.receive`: mistake, result or lost; and the files of the result.

    Each epoch is reported as a Dask event.
    """
    where = (job.folder, job.key, THREADS or str(job.threads))
    process, dask_worker = _process(where), get_worker()
    workers.send(process, Placed(job.folder, job.task))
    kind = "examples"
    while kind == "examples":
        if process.connection.poll(SECONDS):
            kind, content = workers.receive(process)
            if kind == "examples":
                command, _ = job.name.split(":", 1)
                dask_worker.log_event(command, [job.name, content])
        elif not _is_wanted(dask_worker, job.name):
            workers.end([process])
            return "lost", "stopped", {}
    if kind != "lost":
        with lock:
            idle.append((where, process))
    outputs = job.outputs if kind == "result" else ()
    return kind, content, {path: (Path(job.folder) / path).read_bytes() for path in outputs}


def _is_wanted(dask_worker: Any, name: str) -> bool:
    """Whether the command still waits for this job, and the scheduler is there."""
    state = dask_worker.state.tasks.get(name)
    return dask_worker.status.name == "running" and state is not None and state.state == "executing"


def _process(where: tuple[str, str, str]) -> Worker:
    """A process for trainings in this place: one that is idle, or a new one."""
    with lock:
        while idle:
            place_of_it, process = idle.pop()
            if place_of_it == where and process.process.is_alive():
                return process
            workers.end([process])
        os.environ[workers.THREADS] = where[-1]
        return workers.start()


def end() -> None:
    """Ends the idle processes."""
    with lock:
        workers.end([process for _, process in idle])
        idle.clear()
