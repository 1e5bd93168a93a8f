"""Where trainings run, and how their progress and losses are told: one machine, or a cluster.

A killed worker loses only its own training. Another worker starts it over, or resumes it from its
checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline.process.errors import UserError
from pipeline.search.progress import Progress
from pipeline.search.workers import Message, Processes, Task

LIVES = 3  # workers that one training may lose before it is given up

AnyTask = TypeVar("AnyTask", bound=Task)


class Pool(Protocol):
    """Workers that run tasks, which it knows by their numbers."""

    @property
    def busy(self) -> bool:
        """Whether any worker runs a task."""
        ...

    def assign(self, waiting: deque[int]) -> None:
        """Takes as many waiting tasks as there are idle workers. Raises UserError."""
        ...

    def messages(self) -> Iterable[Message]:
        """What the workers say; may return none after a while. Raises UserError."""
        ...

    def end(self) -> None:
        """Ends what still runs."""
        ...


@dataclass(frozen=True)
class Engine:
    """Where trainings run: in worker processes on this machine, or on a Dask cluster.

    `workers` is the number of processes; `cluster` is the address of the scheduler.
    """

    workers: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Raises UserError."""
        if self.workers < 1:
            raise UserError(f"--workers is {self.workers}; expected an integer of at least 1")
        if self.cluster and self.workers > 1:
            raise UserError(
                f"--workers is {self.workers} and --cluster is {self.cluster}; expected one of"
                " them, since a cluster has workers of its own"
            )

    def check(self, count: int, of_what: str) -> None:
        """Raises UserError if there are fewer trainings than workers of this machine."""
        if not self.cluster and self.workers > count:
            raise UserError(
                f"--workers is {self.workers}; expected 1 to {count}, the number of {of_what}"
            )

    def side_by_side(self) -> int:
        """How many trainings can begin at once, and at least 1. Raises UserError."""
        if not self.cluster:
            return self.workers
        from pipeline.search.cluster import Cluster  # needs an optional package

        cluster = Cluster((), self.cluster)
        try:
            return max(1, cluster.free)
        finally:
            cluster.end()

    def pool(self, tasks: Sequence[Task]) -> Pool:
        """Raises UserError if the cluster cannot be used."""
        if not self.cluster:
            return Processes(tasks, min(self.workers, len(tasks)))
        from pipeline.search.cluster import Cluster  # needs an optional package

        return Cluster(tasks, self.cluster)


def results(
    tasks: Sequence[AnyTask], engine: Engine, describe: Callable[[AnyTask, Any], str]
) -> Iterator[tuple[int, Any]]:
    """The number and result of each task as it finishes; `describe` is its line of output.

    Raises UserError.
    """
    if not tasks:
        return
    waiting, lost, pool = deque(range(len(tasks))), [0] * len(tasks), engine.pool(tasks)
    with Progress({number: task.examples for number, task in enumerate(tasks)}) as progress:
        try:
            for number, kind, content in _messages(pool, waiting):
                if kind == "examples":
                    progress.advance(number, content)
                elif kind == "mistake":
                    raise UserError(f"{tasks[number].name}: {content}")
                elif kind == "lost":
                    lost[number] += 1
                    progress.reset(number, loss_message(tasks[number], content, lost[number]))
                    waiting.appendleft(number)
                else:
                    progress.finish(number, describe(tasks[number], content))
                    yield number, content
        except KeyboardInterrupt:
            progress.print("stopped; finished trainings are kept, the same command continues")
            raise
        finally:
            pool.end()


def _messages(pool: Pool, waiting: deque[int]) -> Iterator[Message]:
    """What the workers say until no task runs and none waits, or waits again."""
    while waiting or pool.busy:
        pool.assign(waiting)
        yield from pool.messages()


def loss_message(task: Task, reason: str, times: int) -> str:
    """The line on a lost worker. Raises UserError if the task has lost too many."""
    if times == LIVES:
        raise UserError(
            f"{task.name} has lost {times} workers ({reason}), often for lack of memory;"
            " finished trainings are kept"
        )
    return f"{task.name}: its worker has ended ({reason}); another one takes over"
