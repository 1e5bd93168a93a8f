"""Times 8 equal trainings on one worker of a Dask cluster and on two, each with one core.

    python -m benchmarks.cluster

Run `make run` first: it trains on data/raw. Scheduler and workers are started on loopback, and the
workers in folders without data, which they get. The same trainings run in one process of this
machine on one core: what one worker takes longer is the cost of the engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.project import end_servers_on_sigterm
from pipeline.config import params
from pipeline.files import artifacts, code
from pipeline.process import stage
from pipeline.search import cached_training, engine
from pipeline.search.cached_training import CachedTraining
from pipeline.search.engine import Engine

TRAININGS = 8
SIZE = {"preprocess.subset": 10000, "train.epochs": 6}
LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
SECONDS_TO_START = 120


def trainings() -> list[CachedTraining]:
    """Equal but for the seed."""
    settings = params.override(params.load(), SIZE)
    rows, validation = cached_training.split_rows(settings)
    return [
        CachedTraining(
            f"seed {seed}",
            {"seed": seed},
            settings.train.model_copy(update={"seed": seed}),
            rows,
            validation,
        )
        for seed in range(TRAININGS)
    ]


def seconds(where: Engine) -> float:
    """How long the trainings take, from the first to be started to the last result."""
    shutil.rmtree(artifacts.STATE, ignore_errors=True)
    started = time.monotonic()
    for _ in engine.results(trainings(), where, lambda task, _: task.name):
        pass
    return time.monotonic() - started


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """The address of a scheduler, and its process and those of its workers, each on one core."""
    folder.mkdir()
    file, dask = folder / "scheduler.json", str(Path(sys.executable).with_name("dask"))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "PYTHONPATH": str(code.ROOT)}
    known = ("--scheduler-file", str(file))
    commands = [[dask, "scheduler", *LOOPBACK, "--port", "0", *known]]
    commands += [[dask, "worker", *known, *LOOPBACK, "--nthreads", "1", "--no-nanny"]] * count
    processes = []
    try:
        for number, command in enumerate(commands):
            (folder / str(number)).mkdir()
            with (folder / f"{number}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        command, cwd=folder / str(number), env=environment, stdout=log, stderr=log
                    )
                )
            if number:
                os.sched_setaffinity(
                    processes[-1].pid, {sorted(os.sched_getaffinity(0))[number - 1]}
                )
            logged = "Register worker addr" if number else "Scheduler at:"
            wait_for_line(folder / "0.log", logged, max(number, 1))
        address = artifacts.load_json(file)["address"]
        yield address, [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for_line(log: Path, words: str, times: int) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while log.read_text("utf-8").count(words) < times:
        if time.monotonic() > end:
            sys.exit(f"error: Dask has not started; see {log}")
        time.sleep(0.1)


def measured(folder: Path) -> tuple[list[float], list[float], float]:
    """Seconds on this machine, one worker and two; and what the engine takes beside two trainings.

    That is the MB of the scheduler and of each worker, and their CPU seconds.
    """
    cores = os.sched_getaffinity(0)
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    os.sched_setaffinity(0, {min(cores)})
    totals = [seconds(Engine())]
    os.sched_setaffinity(0, cores)
    for count in (1, 2):
        with cluster(folder / f"{count}", count) as (address, processes):
            totals.append(seconds(Engine(cluster=address)))
            memory = [process.memory_full_info().pss / 1e6 for process in processes]
            times = [process.cpu_times() for process in processes]
    return totals, memory, sum(time.user + time.system for time in times)


def show(totals: Sequence[float], memory: Sequence[float], cpu: float) -> None:
    here, one_worker = totals[:2]
    table = Table(f"{TRAININGS} trainings on", "seconds", "for each", "times as fast as one worker")
    names = ("this machine, one core", "one worker", "two workers")
    for name, total in zip(names, totals, strict=True):
        table.add_row(name, f"{total:.1f}", f"{total / TRAININGS:.1f}", f"{one_worker / total:.2f}")
    console = Console(width=None if sys.stdout.isatty() else 100, soft_wrap=True)
    console.print(table)
    console.print(
        f"One worker takes {(one_worker - here) / TRAININGS:.2f} s longer for each than this"
        f" machine. With two, scheduler and workers themselves took {cpu / TRAININGS:.2f} CPU"
        f" seconds for each. The scheduler holds {memory[0]:.0f} MB, and a worker"
        f" {max(memory[1:]):.0f} MB beside"
        " its trainings."
    )
    console.print(f"on {machine.sentence()}")


def main() -> None:
    end_servers_on_sigterm()
    settings, data = Path(params.FILE).absolute(), Path("data").absolute()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        project.mkdir()
        shutil.copy(settings, project)
        (project / "data").symlink_to(data)
        with chdir(project):
            show(*measured(Path(temporary)))


if __name__ == "__main__":
    stage.run(main)
