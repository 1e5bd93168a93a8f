"""The models that are served: the queue of each, and their reload when a bundle changes."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from serving.bundle import locate
from serving.checksums import MANIFEST
from serving.classifier import Classifier
from serving.errors import BundleError, RequestError, RuntimeTimeoutError, printable
from serving.server.limits import Limits
from serving.server.place import Newest
from serving.server.prometheus import Metrics
from serving.server.protocol import Signature
from serving.server.public_files import PublicFile
from serving.versions import older

Loaded = Tuple[Classifier, Dict[str, PublicFile]]


@dataclass(frozen=True)
class Model:
    """A loaded bundle. A request is decoded and computed by the same one, even across a reload."""

    classifier: Classifier
    signature: Signature
    files: Dict[str, PublicFile]


@dataclass(frozen=True)
class Job:
    model: Model
    images: Any
    submitted: float  # by time.monotonic()
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class BatchQueue:
    """Images waiting for one model, and the thread that computes them in batches.

    Requests that arrive while a batch is computed form the next one: no request waits for others
    to come, and batches grow with the load.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.waiting = metrics.place.count()  # images
        self.batch_started: Optional[float] = None  # None while no batch is computed
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, model: Model, images: Any) -> asyncio.Future[Any]:
        """The probabilities (N, K) of images (N, H, W, C), as a future of the running loop.

        Raises RequestError when the queue is full.
        """
        loop = asyncio.get_running_loop()
        job = Job(model, images, time.monotonic(), loop, loop.create_future())
        with self._lock:
            waiting, limit = self.waiting.of_all, self.limits.max_queue
            if waiting + len(images) > limit:
                sentence = f"{waiting} of at most {limit} images are waiting; try again in a second"
                raise RequestError(503, sentence)
            self.waiting.add(len(images))
        self._jobs.put(job)
        return job.future

    def _work(self) -> None:
        left: Optional[Job] = None
        while True:
            batch, left = self._next_batch(left or self._jobs.get())
            images = sum(len(job.images) for job in batch)
            with self._lock:
                self.waiting.add(-images)
            self.metrics.batch.observe(images, batch[0].model.signature.name)
            self.batch_started = time.monotonic()
            outcomes = self._compute(batch)
            self.batch_started = None
            for loop in {job.loop for job in batch}:
                pairs = [pair for pair in zip(batch, outcomes) if pair[0].loop is loop]
                with suppress(RuntimeError):  # the loop is closed, so nobody waits for the result
                    loop.call_soon_threadsafe(_deliver, pairs)

    def _next_batch(self, first: Job) -> Tuple[List[Job], Optional[Job]]:
        """A batch that starts with `first`, and the job that no longer fitted into it."""
        batch, images = [first], len(first.images)
        while images < self.limits.max_images:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            images += len(job.images)
            if images > self.limits.max_images or job.model is not first.model:
                return batch, job
            batch.append(job)
        return batch, None

    def _compute(self, batch: List[Job]) -> Sequence[Any]:
        """For each job its probabilities, or the exception to raise in its request."""
        limit = self.limits.seconds_to_wait
        if time.monotonic() - batch[0].submitted > limit:
            sentence = f"the model was busy for {limit:g} seconds; try again in a second"
            return [RequestError(503, sentence)] * len(batch)
        model = batch[0].model
        images = [job.images for job in batch]
        try:
            together = images[0] if len(images) == 1 else np.concatenate(images)
            probabilities = model.classifier.predict(together)
        except RuntimeTimeoutError as error:
            print(f"error: {error}", file=sys.stderr)
            return [RequestError(503, f"{error}, so try again in a second")] * len(batch)
        except Exception as error:  # no fault of a runtime may end this thread
            name = model.signature.name
            print(f"error: {name} failed on a batch: {error!r}", file=sys.stderr)
            refusal = RequestError(500, f"the model {name!r} failed on these images")
            return [refusal] * len(batch)
        ends = list(accumulate(map(len, images)))
        return [probabilities[start:end] for start, end in zip([0, *ends], ends)]


def _deliver(pairs: List[Tuple[Job, Any]]) -> None:
    for job, outcome in pairs:
        if job.future.done():  # cancelled
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)


class ServedModel:
    """A bundle's path, the model that was loaded from it, and its queue."""

    def __init__(
        self, path: Path, model: Model, queue: BatchQueue, stamp: Tuple[int, ...], newest: Newest
    ) -> None:
        self.path, self.model, self.queue, self.stamp = path, model, queue, stamp
        self.newest = newest
        self.fault = ""  # of the last reload, so that it is printed once


class Models:
    """All served models, by the name on their card."""

    def __init__(
        self,
        paths: Sequence[Path],
        load: Callable[[Path], Loaded],
        limits: Limits,
        metrics: Metrics,
        may_roll_back: bool = True,
    ) -> None:
        """Loads every bundle with `load`. Raises ServingError.

        With `may_roll_back` a reload may replace a newer version with an older one.
        """
        self._load_bundle, self.limits, self.metrics = load, limits, metrics
        self.may_roll_back = may_roll_back
        self._by_name: Dict[str, ServedModel] = {}
        for path in paths:
            stamp, newest = _stamp(path), metrics.place.newest()
            model = self._load(path)
            self._refuse_older(model, path, newest)
            name = model.signature.name
            other = self._by_name.get(name)
            if other:
                raise BundleError(
                    f"{other.path} and {path} both hold a model named {name!r}; "
                    "serve one of them here"
                )
            self._by_name[name] = ServedModel(
                path, model, BatchQueue(limits, metrics), stamp, newest
            )

    def _load(self, path: Path) -> Model:
        classifier, files = self._load_bundle(path)
        card = classifier.card
        if not card.kind.datatype:
            raise BundleError(
                f"{card.name} takes {card.input.type} {card.kind.noun}, "
                "and the server only pictures; use Classifier"
            )
        return Model(classifier, Signature.of(classifier, self.limits.max_images), files)

    def signatures(self) -> List[Signature]:
        return [served.model.signature for served in self._by_name.values()]

    def pages(self) -> List[str]:
        """The names of the models whose bundle holds a page."""
        return [name for name, served in self._by_name.items() if served.model.files]

    def stuck(self) -> List[str]:
        """The names of the models whose current batch takes longer than a request may wait."""
        latest = time.monotonic() - self.limits.seconds_to_wait
        return [
            name
            for name, served in self._by_name.items()
            if (served.queue.batch_started or latest) < latest
        ]

    def waiting(self) -> Iterator[Tuple[Tuple[str], int]]:
        """The number of images that wait for each model."""
        return (((name,), served.queue.waiting.own) for name, served in self._by_name.items())

    def find(self, name: str, version: Optional[str] = None) -> ServedModel:
        """Raises RequestError for an unknown model or version."""
        served = self._by_name.get(name)
        if served is None:
            names = ", ".join(map(repr, self._by_name))
            raise RequestError(404, f"there is no model {name[:80]!r}; expected {names}")
        current = served.model.signature.version
        if version is not None and version != current:
            raise RequestError(404, f"{name} has no version {version[:40]!r}; expected {current!r}")
        return served

    def first(self) -> ServedModel:
        return next(iter(self._by_name.values()))

    def watch(self, seconds: float = 1.0) -> None:
        """Starts a thread that reloads changed bundles every `seconds`."""

        def reload_forever() -> None:
            while True:
                time.sleep(seconds)
                self.reload()

        threading.Thread(target=reload_forever, daemon=True).start()

    def reload(self) -> None:
        """Replaces models whose bundle changed; an incomplete or faulty bundle replaces nothing."""
        for name, served in list(self._by_name.items()):
            try:
                self._reload_one(name, served)
            except Exception as error:  # an unforeseen fault must not end the watch either
                fault = printable(str(error))
                if fault != served.fault:
                    served.fault = fault
                    self.metrics.reloads.add(1, name, "failed")
                    print(f"error: {fault}; the old model stays in service", file=sys.stderr)

    def _reload_one(self, name: str, served: ServedModel) -> None:
        stamp = _stamp(served.path)
        if stamp == served.stamp:
            return
        model = self._load(served.path)
        if model.signature.name != name:
            raise BundleError(
                f"{served.path} now holds {model.signature.name!r} instead of {name!r}; "
                "restart to serve it"
            )
        try:
            self._refuse_older(model, served.path, served.newest)
        except BundleError:
            served.stamp = stamp  # it will not get newer, so do not load it again every second
            raise
        served.model, served.stamp, served.fault = model, stamp, ""
        self.metrics.reloads.add(1, name, "done")
        print(f"{served.path} was reloaded: {name} {model.signature.version}", file=sys.stderr)

    def _refuse_older(self, model: Model, path: Path, newest: Newest) -> None:
        """Raises BundleError for a version older than the one that was served last.

        A signature proves who made a bundle, not when: an old one could bring its faults back. Nor
        may a process that takes the place of another one fall back.
        """
        new, current = model.signature.version, newest.version
        if current and not self.may_roll_back and older(new, current):
            cure = "--allow-rollback would serve it"
            raise BundleError(f"{path} now holds version {new}, older than {current}; {cure}")
        newest.version = new


def _stamp(path: Path) -> Tuple[int, ...]:
    """Changes when the bundle does: taken from the archive, or the folder's list of checksums."""
    bundle = locate(path)
    try:
        status = (bundle / MANIFEST if bundle.is_dir() else bundle).stat()
    except OSError as error:
        raise BundleError(
            f"{bundle} is not readable ({error.strerror}); "
            "name a bundle, or the folder that it was unpacked to"
        ) from None
    return status.st_ino, status.st_mtime_ns, status.st_size
