"""Trainings on a cluster of Dask, for `engine.results`.

The scheduler only carries messages. The command itself gives each training to an idle worker, hears
of its epochs, and gives it to another one if the worker is lost: so the rules are those of one
machine. Results come back by value, and are written where one machine keeps them.
"""

from __future__ import annotations

import pickle
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.files import artifacts, atomic, digests
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.search.workers import Message, Task

try:
    from distributed import Future

    from pipeline.search import cluster_worker
    from pipeline.search.cluster_connection import SECONDS_TO_CONNECT, connected, reason
    from pipeline.search.cluster_worker import Installation, Introduction
except ImportError:
    raise UserError(
        "--cluster needs Dask's package distributed, which is not installed; run"
        " `uv sync --extra cluster`"
    ) from None

SECONDS = 1.0  # between two looks at the workers
SECONDS_TO_FETCH = 60  # a result, whose worker may have ended meanwhile
PART = 16 * 2**20  # bytes of a file in one message
WORKER = "`dask worker {} --nthreads 1 --no-nanny`"


@dataclass
class Member:
    """A worker that has been let in; it runs a training in each of its `slots`."""

    address: str
    host: str
    cores: int
    slots: int
    jobs: dict[int, Future] = field(default_factory=dict)  # by the number of the task
    places: dict[str, str] = field(default_factory=dict)  # folders by the key of the files in them


class LostError(Exception):
    """A worker has left the cluster."""


class Cluster:
    """A pool of the workers that a scheduler has, now or later."""

    def __init__(self, tasks: Sequence[Task], address: str) -> None:
        """Raises UserError if the scheduler is unreachable."""
        self.tasks, self.address = tasks, address
        self.name = f"edgeproof-{secrets.token_hex(4)}"
        self.installation, self.digests = cluster_worker.installation(), dict[Path, str]()
        self.members, self.refused = dict[str, Member](), set[str]()
        self.threads = dict[str, int]()  # of a training, by host
        self.events: queue.SimpleQueue[tuple[str, int | Future]] = queue.SimpleQueue()
        self.looked, self.waits = 0.0, False
        self.client = connected(address)
        self.client.subscribe_topic(self.name, lambda event: self.events.put(event[1]))

    @property
    def busy(self) -> bool:
        return any(member.jobs for member in self.members.values())

    @property
    def free(self) -> int:
        """How many trainings can begin at once, now. Raises UserError as `assign` does."""
        self._admit_new()
        running = self.client.processing()
        return sum(
            max(0, member.slots - len(running.get(address, ())))
            for address, member in self.members.items()
        )

    def assign(self, waiting: deque[int]) -> None:
        self._admit_new()
        for member in self.members.values():
            while waiting and len(member.jobs) < member.slots:
                try:
                    self._submit(waiting[0], member)
                except LostError:
                    break
                waiting.popleft()

    def messages(self) -> Iterator[Message]:
        for member in self._gone():
            for number, job in member.jobs.items():
                job.cancel()
                yield number, "lost", f"no connection to {member.address}"
        try:
            name, content = self.events.get(timeout=SECONDS)
        except queue.Empty:
            return
        number = int(name.split(":")[1])
        for member in self.members.values():
            # An event may be about an earlier attempt, which counts as lost.
            if number in member.jobs and member.jobs[number].key == name:
                if isinstance(content, int):
                    yield number, "examples", content
                else:
                    yield number, *self._outcome(member, member.jobs.pop(number))
                return

    def end(self) -> None:
        """Ends what runs, and the idle processes of the workers; then leaves the scheduler."""
        if self.client.status == "running":
            jobs = [job for member in self.members.values() for job in member.jobs.values()]
            with suppress(Exception):  # whatever the cluster does now, the command ends
                self.client.cancel(jobs, force=True)
                self.client.run(cluster_worker.end, workers=list(self.members), on_error="ignore")
        with suppress(Exception):
            self.client.close(timeout=SECONDS_TO_CONNECT)

    def _workers(self) -> Mapping[str, Any]:
        """The workers that the scheduler has, by their addresses. Raises UserError."""
        # Not `scheduler_info`, whose answer another thread may have replaced by one without workers
        if self.client.status == "running":
            with suppress(OSError):
                identity = self.client.sync(self.client.scheduler.identity, n_workers=-1)
                present: Mapping[str, Any] = identity["workers"]
                return present
        raise UserError(
            f"the connection to the scheduler {self.address} is lost; finished trainings are"
            " kept, the same command continues when it is there again"
        )

    def _admit_new(self) -> None:
        """Once a second. Raises UserError if there are workers, and none is as it must be."""
        if time.monotonic() < self.looked + SECONDS:
            return
        present = self._workers()
        new = present.keys() - self.members.keys() - self.refused
        sentences = [self._admit(address, present[address]) for address in sorted(new)]
        for sentence in filter(None, sentences):
            if not self.members:
                raise UserError(sentence)
            print(sentence, flush=True)
        if not self.members and not self.waits:
            start = WORKER.format(self.address)
            print(f"waiting for a worker; start one with {start} in its project folder", flush=True)
        self.waits, self.looked = not self.members, time.monotonic()

    def _admit(self, address: str, facts: Mapping[str, Any]) -> str | None:
        """Lets a worker in, or says why it is refused."""
        answer = self.client.run(
            cluster_worker.introduce, workers=[address], on_error="return"
        ).get(address)
        if isinstance(answer, OSError):
            return None  # it has left again
        if sentence := refusal(answer, self.installation):
            self.refused.add(address)
            return f"the worker {address} is refused: {sentence}"
        member = Member(address, facts["host"], answer.cores, facts["nthreads"])
        self.members[address] = member
        return None

    def _gone(self) -> list[Member]:
        """The members that have left since the last call. Raises UserError."""
        present = self._workers()
        return [self.members.pop(address) for address in list(self.members.keys() - present.keys())]

    def _submit(self, number: int, member: Member) -> None:
        """Raises LostError if the worker has left, and UserError."""
        task, name = self.tasks[number], f"{self.name}:{number}:{secrets.token_hex(4)}"
        files = {_inside(path): self._digest(path) for path in task.inputs()}
        key = digests.of_facts([f"{digest} {path}" for path, digest in files.items()])
        if key not in member.places:
            member.places[key] = self._place(member, key, files)
        description = cluster_worker.Job(
            name,
            pickle.dumps(task),
            member.places[key],
            key,
            [_inside(path) for path in task.outputs()],
            self._threads(member),
        )
        job = self.client.submit(
            cluster_worker.train, description, key=name, workers=[member.address], pure=False
        )
        member.jobs[number] = job
        job.add_done_callback(lambda job: self.events.put((name, job)))

    def _threads(self, member: Member) -> int:
        """The threads of a training: the cores of its host, divided among the workers there.

        It stays the same in a command, since results depend on it.
        """
        beside = [other.slots for other in self.members.values() if other.host == member.host]
        return self.threads.setdefault(member.host, max(1, member.cores // sum(beside)))

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = artifacts.sha256(path)
        return self.digests[path]

    def _place(self, member: Member, key: str, files: Mapping[str, str]) -> str:
        """The folder of the worker that has these files; it gets those that it lacks."""
        folder, missing = self._call(member, cluster_worker.place, key, files)
        if missing:
            size = sum(Path(path).stat().st_size for path in missing)
            amount = f"{counted(len(missing), 'file')}, {size / 1e6:.1f} MB"
            print(f"sending {amount}, to {member.address}", flush=True)
            for path in missing:
                self._send(member, Path(path), files[path])
            folder, _ = self._call(member, cluster_worker.place, key, files)
        return str(folder)

    def _send(self, member: Member, path: Path, digest: str) -> None:
        with path.open("rb") as file:
            part, following = file.read(PART), file.read(PART)
            while following:
                self._call(member, cluster_worker.keep, self.name, digest, part, False)
                part, following = following, file.read(PART)
            self._call(member, cluster_worker.keep, self.name, digest, part, True)

    def _call(self, member: Member, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function gives there. Raises LostError if the worker has left, and UserError."""
        try:
            return self.client.run(function, *arguments, workers=[member.address])[member.address]
        except Exception as error:  # of the connection, or of the worker, such as a full disk
            time.sleep(SECONDS)  # for the scheduler to notice that the worker has left
            if member.address not in self._workers():
                raise LostError from None
            raise UserError(f"the worker {member.address} has failed: {reason(error)}") from None

    def _outcome(self, member: Member, job: Future) -> tuple[str, Any]:
        """A mistake or a result, whose files are written here; or that the worker is lost."""
        try:
            kind, content, files = job.result(timeout=SECONDS_TO_FETCH)
        except Exception as error:
            self._workers()
            member.places.clear()  # in case that somebody has deleted them
            return "lost", reason(error)
        for path, written in files.items():
            atomic.write_bytes(Path(path), written)
        return kind, pickle.loads(content) if kind == "result" else content


def refusal(answer: object, ours: Installation) -> str | None:
    """Why a worker that answers so is refused; None if it is as this command."""
    if isinstance(answer, Exception):
        start = WORKER.format("ADDRESS")
        return f"it cannot run this project ({reason(answer)}); start it in a checkout with {start}"
    if not isinstance(answer, Introduction):  # an older checkout introduces itself otherwise
        return "its code differs; check out the same commit"
    theirs = answer.installation
    for name, value in ours.environment.items():
        if (other := theirs.environment.get(name)) != value:
            return f"its {name} is {other}, and here it is {value}; run `uv sync` in both checkouts"
    different = sorted(dict(ours.code.items() ^ theirs.code.items()))
    if different:
        files = counted(len(different), "file")
        return f"its code differs in {files}, such as {different[0]}; check out the same commit"
    if answer.is_daemon:
        return "it has a nanny, under which it may start no process; start it with --no-nanny"
    return None


def _inside(path: Path) -> str:
    """The path within the project, by which a worker knows a file. Raises UserError."""
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{path} lies outside the project, and a worker gets files of the project only; put it"
            " or a link to it in the project, and name that in params.yaml"
        )
    return path.as_posix()
