"""Trainings in parallel worker processes, with the time left.

A killed worker loses only its own training. Another worker starts it over, or resumes it from its
checkpoint.
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
from typing import Any, Protocol, TypeVar

from pipeline.process.errors import UserError
from pipeline.search.progress import Progress

LIVES = 3  # workers that one training may lose before it is given up
SECONDS_TO_END = 10  # for a worker to tell its storage that it ends


class Task(Protocol):
    """What a worker does. It must be picklable."""

    @property
    def name(self) -> str: ...

    @property
    def examples(self) -> int:
        """How many examples it processes: its cost."""
        ...

    def run(self, on_examples: Callable[[int], None]) -> Any:
        """Its result. `on_examples` gets the examples processed in each epoch. Raises UserError."""
        ...


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass
class Worker:
    """A process, and the number of the task it runs."""

    process: SpawnProcess
    connection: Connection
    number: int | None = None


def results(
    tasks: Sequence[AnyTask], workers: int, describe: Callable[[AnyTask, Any], str]
) -> Iterator[tuple[int, Any]]:
    """The number and result of each task as it finishes; `describe` is its line of output.

    Raises UserError.
    """
    if not tasks:
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    waiting, lost, pool = deque(range(len(tasks))), [0] * len(tasks), list[Worker]()
    with Progress({number: task.examples for number, task in enumerate(tasks)}) as progress:
        try:
            while waiting or any(worker.number is not None for worker in pool):
                assign(tasks, waiting, pool, workers)
                for worker, number in ready(pool):
                    kind, content = receive(worker)
                    if kind == "examples":
                        progress.advance(number, content)
                    elif kind == "mistake":
                        raise UserError(f"{tasks[number].name}: {content}")
                    elif kind == "lost":
                        pool.remove(worker)
                        lost[number] += 1
                        progress.reset(number, loss_message(tasks[number], content, lost[number]))
                        waiting.appendleft(number)
                    else:
                        worker.number = None
                        progress.finish(number, describe(tasks[number], content))
                        yield number, content
        except KeyboardInterrupt:
            progress.print("stopped; finished trainings are kept, the same command continues")
            raise
        finally:
            end(pool)


def assign(tasks: Sequence[Task], waiting: deque[int], pool: list[Worker], workers: int) -> None:
    """Gives waiting tasks to idle workers, and starts workers up to the limit."""
    idle = [worker for worker in pool if worker.number is None]
    while waiting and (idle or len(pool) < workers):
        if not idle:
            pool.append(start())
        worker = idle.pop() if idle else pool[-1]
        worker.number = waiting.popleft()
        # The connection of a worker that has ended is broken; `receive` reports the loss.
        with suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send(tasks[worker.number])


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
    """A worker's message: examples, mistake or result; or "lost" with its exit code."""
    try:
        message: tuple[str, Any] = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return "lost", worker.process.exitcode or 0
    return message


def end(pool: list[Worker]) -> None:
    """Asks the workers to end, and kills those that do not."""
    for worker in pool:
        worker.connection.close() if worker.number is None else worker.process.terminate()
    for worker in pool:
        worker.process.join(SECONDS_TO_END)
        worker.process.kill()


def loss_message(task: Task, exit_code: int, times: int) -> str:
    """The line on a lost worker. Raises UserError if the task has lost too many."""
    reason = f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
    if times == LIVES:
        raise UserError(
            f"{task.name} has lost {times} workers ({reason}), often for lack of memory;"
            " finished trainings are kept"
        )
    return f"{task.name}: its worker has ended ({reason}); another one takes over"


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
            task: Task = connection.recv()
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
