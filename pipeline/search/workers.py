"""Worker processes: each runs one task after another, apart from its parent and the others.

A training needs a process of its own, since Keras draws seeds from Python's global `random`, which
the threads of another program use too. `Processes` is the pool of one machine. It needs no
package that may be missing, and so is what `engine` uses without a cluster.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from pipeline.process.errors import UserError

THREADS = "TF_NUM_INTRAOP_THREADS"
SECONDS_TO_END = 10  # for a worker to tell its storage that it ends


class Runnable(Protocol):
    """What a worker does. It must be picklable."""

    def run(self, on_examples: Callable[[int], None]) -> Any:
        """Its result. `on_examples` gets the examples processed in each epoch. Raises UserError."""
        ...


class Task(Runnable, Protocol):
    """A training, or something else that takes long."""

    @property
    def name(self) -> str: ...

    @property
    def examples(self) -> int:
        """How many examples it processes: its cost."""
        ...

    def inputs(self) -> list[Path]:
        """The files that it reads, from the project's folder: another machine needs them."""
        ...

    def outputs(self) -> list[Path]:
        """The files that keep its result, so that it is never repeated."""
        ...


# The number of a task; examples, mistake, result or lost; and what belongs to that.
Message = tuple[int, str, Any]


@dataclass
class Worker:
    """A process, and the number of the task it runs."""

    process: SpawnProcess
    connection: Connection
    number: int | None = None


class Processes:
    """A pool of worker processes on this machine, for `engine.results`."""

    def __init__(self, tasks: Sequence[Task], count: int) -> None:
        self.tasks, self.count, self.pool = tasks, count, list[Worker]()
        threads = max(1, (os.cpu_count() or 1) // count)
        os.environ.setdefault(THREADS, str(threads))

    @property
    def busy(self) -> bool:
        return any(worker.number is not None for worker in self.pool)

    def assign(self, waiting: deque[int]) -> None:
        """Gives waiting tasks to idle workers, and starts workers up to the limit."""
        idle = [worker for worker in self.pool if worker.number is None]
        while waiting and (idle or len(self.pool) < self.count):
            if not idle:
                self.pool.append(start())
            worker = idle.pop() if idle else self.pool[-1]
            worker.number = waiting.popleft()
            send(worker, self.tasks[worker.number])

    def messages(self) -> Iterator[Message]:
        """Waits for messages of the workers, or that one has ended."""
        for worker, number in ready(self.pool):
            kind, content = receive(worker)
            if kind == "lost":
                self.pool.remove(worker)
            elif kind != "examples":
                worker.number = None
            yield number, kind, content

    def end(self) -> None:
        end(self.pool)


def send(worker: Worker, task: Runnable) -> None:
    # The connection of a worker that has ended is broken; `receive` reports the loss.
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.connection.send(task)


def start() -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    resource_tracker.ensure_running()  # it would unblock the signal when the first worker starts
    # The worker inherits this: on Ctrl-C the parent decides what happens to it. A Ctrl-C that
    # arrives meanwhile takes effect afterwards.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    theirs.close()
    return Worker(process, ours)


def ready(pool: list[Worker]) -> list[tuple[Worker, int]]:
    """The workers with a message, or that have ended, each with the number of its task."""
    busy = [(worker, worker.number) for worker in pool if worker.number is not None]
    readable = wait([worker.connection for worker, _ in busy])
    return [(worker, number) for worker, number in busy if worker.connection in readable]


def receive(worker: Worker) -> tuple[str, Any]:
    """A worker's message: examples, mistake or result; or "lost" with how it ended."""
    try:
        message: tuple[str, Any] = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode or 0
        return "lost", f"signal {-code}" if code < 0 else f"exit status {code}"
    return message


def end(pool: list[Worker]) -> None:
    """Asks the workers to end, and kills those that do not."""
    for worker in pool:
        worker.connection.close() if worker.number is None else worker.process.terminate()
    for worker in pool:
        worker.process.join(SECONDS_TO_END)
        worker.process.kill()
        worker.process.join()


def work(connection: Connection) -> None:
    """The loop of a worker: receives tasks, sends progress and results, until closed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the console is the parent's
    os.dup2(sys.stdout.fileno(), 1)

    def on_examples(examples: int) -> None:
        connection.send(("examples", examples))

    try:
        while True:
            task: Runnable = connection.recv()
            try:
                connection.send(("result", task.run(on_examples)))
            except UserError as error:
                connection.send(("mistake", str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


def end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Ends this process when its parent ends, for whatever reason."""
    parent.join()
    os._exit(1)
