"""Trainings in processes of their own, side by side, with the time that is left.

A worker that is killed loses only its training, which another begins anew, or goes on with where it has left its state.
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
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol, TypeVar

from pipeline.process.errors import UserError
from pipeline.search.progress import Progress

LIVES = 3  # workers that one training may lose before nobody tries it again
SECONDS_TO_END = 10  # for a worker that was asked to end, which tells its storage


class Task(Protocol):
    """What a worker does; it must be picklable."""

    @property
    def name(self) -> str: ...

    @property
    def examples(self) -> int:
        """How many examples it sees in all: what it costs."""
        ...

    def run(self, saw: Callable[[int], None]) -> Any:
        """Its result; `saw` is told after each epoch how many examples that was. Raises UserError."""
        ...


AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass
class Worker:
    """A process, and the task that it is busy with."""

    process: SpawnProcess
    connection: Connection
    number: int | None = None


def results(
    tasks: Sequence[AnyTask], workers: int, tell: Callable[[AnyTask, Any], str]
) -> Iterator[tuple[int, Any]]:
    """The number of each task and its result, as they come; `tell` says a line on each. Raises UserError."""
    if not tasks:
        return
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    waiting, lost, pool = deque(range(len(tasks))), [0] * len(tasks), list[Worker]()
    with Progress({number: task.examples for number, task in enumerate(tasks)}) as progress:
        try:
            while waiting or any(worker.number is not None for worker in pool):
                idle = [worker for worker in pool if worker.number is None]
                while waiting and (idle or len(pool) < workers):
                    if not idle:
                        pool.append(start())
                    give(idle.pop() if idle else pool[-1], waiting.popleft(), tasks)
                for worker, number in ready(pool):
                    kind, content = receive(worker)
                    if kind == "examples":
                        progress.advance(number, content)
                    elif kind == "mistake":
                        raise UserError(f"{tasks[number].name}: {content}")
                    elif kind == "lost":
                        pool.remove(worker)
                        lost[number] += 1
                        progress.back(number, told_of_loss(tasks[number], content, lost[number]))
                        waiting.appendleft(number)
                    else:
                        worker.number = None
                        progress.done(number, tell(tasks[number], content))
                        yield number, content
        except KeyboardInterrupt:
            progress.say("stopped; what is finished stays, and the same command goes on")
            raise
        finally:
            end(pool)


def start() -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    heard = signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a worker inherits it: who started it decides on Ctrl-C
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, heard)
    theirs.close()
    return Worker(process, ours)


def give(worker: Worker, number: int, tasks: Sequence[Task]) -> None:
    worker.number = number
    with suppress(BrokenPipeError, ConnectionResetError):  # it has ended; receiving tells so
        worker.connection.send(tasks[number])


def ready(pool: list[Worker]) -> list[tuple[Worker, int]]:
    """The workers that have something to tell, or have ended, each with the number of its task."""
    busy = [(worker, worker.number) for worker in pool if worker.number is not None]
    found = wait([worker.connection for worker, _ in busy])
    return [(worker, number) for worker, number in busy if worker.connection in found]


def receive(worker: Worker) -> tuple[str, Any]:
    """What a worker tells: examples, mistake, result; or lost, and how it has ended."""
    try:
        message: tuple[str, Any] = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return "lost", worker.process.exitcode or 0
    return message


def end(pool: list[Worker]) -> None:
    """Asks the workers to end, and ends those that do not."""
    for worker in pool:
        worker.connection.close() if worker.number is None else worker.process.terminate()
    for worker in pool:
        worker.process.join(SECONDS_TO_END)
        worker.process.kill()


def told_of_loss(task: Task, exit_code: int, times: int) -> str:
    """The sentence on a worker that has ended. Raises UserError where that task has cost too many."""
    reason = f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
    if times == LIVES:
        raise UserError(
            f"{task.name} has ended {times} workers ({reason}, often for want of memory); what is finished stays"
        )
    return f"{task.name}: its worker has ended ({reason}); another takes it over"


def work(connection: Connection) -> None:
    """A worker's life: tasks come in, epochs and results go out, until nobody gives it more."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - until it ends; the console is the parent's
    os.dup2(sys.stdout.fileno(), 1)
    try:
        while True:
            task: Task = connection.recv()
            try:
                connection.send(
                    ("result", task.run(lambda examples: connection.send(("examples", examples))))
                )
            except UserError as error:
                connection.send(("mistake", str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


def end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Ends this process when its parent has ended, however that came."""
    parent.join()
    os._exit(1)
