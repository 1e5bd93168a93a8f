"""The bundles that are served: each with a queue, a thread that computes batches, and a reload when it changes."""

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
from serving.server.files import PublicFile
from serving.server.limits import Limits
from serving.server.metrics import Metrics
from serving.server.protocol import Signature
from serving.versions import older

Loaded = Tuple[Classifier, Dict[str, PublicFile]]


@dataclass(frozen=True)
class Model:
    """A bundle as it was loaded: a request is decoded for it and computed by it, even where it was replaced meanwhile."""

    classifier: Classifier
    signature: Signature
    files: Dict[str, PublicFile]


@dataclass(frozen=True)
class Job:
    model: Model
    images: Any
    since: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Queue:
    """Images that wait for one bundle, and the thread that takes them in batches.

    A batch is whatever came while the last one was computed: nobody waits for others to come, and the busier the
    server, the larger the batches.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.waiting = 0
        self.since: Optional[float] = None  # when the batch began that is being computed
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, model: Model, images: Any) -> asyncio.Future[Any]:
        """The probabilities (N, K) of images (N, H, W, C) in a future of the running loop. Raises RequestError when full."""
        loop = asyncio.get_running_loop()
        job = Job(model, images, time.monotonic(), loop, loop.create_future())
        with self._lock:
            if self.waiting + len(images) > self.limits.max_queue:
                raise RequestError(
                    503,
                    f"{self.waiting} images wait already; allowed are {self.limits.max_queue}, so try again in a second",
                )
            self.waiting += len(images)
        self._jobs.put(job)
        return job.future

    def _work(self) -> None:
        left: Optional[Job] = None
        while True:
            batch, left = self._next(left or self._jobs.get())
            images = sum(len(job.images) for job in batch)
            with self._lock:
                self.waiting -= images
            self.metrics.batch.observe(images, batch[0].model.signature.name)
            self.since = time.monotonic()
            outcome = self._compute(batch)
            self.since = None
            for loop in {job.loop for job in batch}:
                _call(
                    loop, _deliver, [pair for pair in zip(batch, outcome) if pair[0].loop is loop]
                )

    def _next(self, first: Job) -> Tuple[List[Job], Optional[Job]]:
        """A batch that starts with `first`, and the job that did not fit into it any more."""
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
        """For each job its probabilities, or the exception that it ends in."""
        if time.monotonic() - batch[0].since > self.limits.seconds_to_wait:
            sentence = f"the request waited longer than {self.limits.seconds_to_wait:g} seconds for the model, so try again in a second"
            return [RequestError(503, sentence)] * len(batch)
        images = [job.images for job in batch]
        try:
            result = batch[0].model.classifier.predict(
                images[0] if len(images) == 1 else np.concatenate(images)
            )
        except RuntimeTimeoutError as error:
            print(f"error: {error}", file=sys.stderr)
            return [RequestError(503, f"{error}, so try again in a second")] * len(batch)
        except Exception as error:  # whatever a runtime raises must not end this thread
            print(
                f"error: {batch[0].model.signature.name} failed on a batch: {error!r}",
                file=sys.stderr,
            )
            return [
                RequestError(
                    500, f"the model {batch[0].model.signature.name!r} failed on these images"
                )
            ] * len(batch)
        ends = list(accumulate(map(len, images)))
        return [result[start:end] for start, end in zip([0, *ends], ends)]


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    with suppress(RuntimeError):  # a loop that was closed has nobody who waits any more
        loop.call_soon_threadsafe(function, *arguments)


def _deliver(pairs: List[Tuple[Job, Any]]) -> None:
    for job, outcome in pairs:
        if job.future.done():  # cancelled
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)


class Served:
    """One bundle's path, the model that was loaded from it, and its queue."""

    def __init__(self, path: Path, model: Model, queue: Queue, stamp: Tuple[int, ...]) -> None:
        self.path, self.model, self.queue, self.stamp = path, model, queue, stamp
        self.fault = ""


class Models:
    """All bundles by the name on their card."""

    def __init__(
        self,
        paths: Sequence[Path],
        load: Callable[[Path], Loaded],
        limits: Limits,
        metrics: Metrics,
        may_roll_back: bool = True,
    ) -> None:
        """Loads every bundle with `load`: its model and its public files. Raises ServingError.

        With `may_roll_back` a reload may put an older version in the place of a newer one.
        """
        self._open, self.limits, self.metrics = load, limits, metrics
        self.may_roll_back = may_roll_back
        self._by_name: Dict[str, Served] = {}
        for path in paths:
            stamp = _stamp(path)
            model = self._load(path)
            other = self._by_name.get(model.signature.name)
            if other:
                raise BundleError(
                    f"{other.path} and {path} both hold a model named {model.signature.name!r}; serve one of them here"
                )
            self._by_name[model.signature.name] = Served(path, model, Queue(limits, metrics), stamp)

    def _load(self, path: Path) -> Model:
        classifier, files = self._open(path)
        card = classifier.card
        platform = f"{classifier.runtime}_{classifier.file.format}"
        if card.input.type != "uint8":
            raise BundleError(
                f"{card.name} takes {card.input.type} ids, and the server pictures alone; use Classifier"
            )
        height, width, channels = card.input_shape
        shape, most = (height, width, channels), self.limits.max_images
        signature = Signature(
            card.name, card.version, platform, shape, card.class_names, most, card.draft
        )
        return Model(classifier, signature, files)

    def signatures(self) -> List[Signature]:
        return [served.model.signature for served in self._by_name.values()]

    def pages(self) -> List[str]:
        """The names of the models whose bundle holds a page."""
        return [name for name, served in self._by_name.items() if served.model.files]

    def stuck(self) -> List[str]:
        """The names of the models that compute one batch for so long that a request now would wait in vain."""
        latest = time.monotonic() - self.limits.seconds_to_wait
        return [
            name
            for name, served in self._by_name.items()
            if (served.queue.since or latest) < latest
        ]

    def waiting(self) -> Iterator[Tuple[Tuple[str], int]]:
        """For each model how many images wait for it."""
        return (((name,), served.queue.waiting) for name, served in self._by_name.items())

    def find(self, name: str, version: Optional[str] = None) -> Served:
        """The bundle of a model. Raises RequestError."""
        served = self._by_name.get(name)
        if served is None:
            raise RequestError(
                404, f"there is no model {name[:80]!r}; there {_are(list(self._by_name))}"
            )
        if version is not None and version != served.model.signature.version:
            raise RequestError(
                404,
                f"{name} has no version {version[:40]!r}; there is {served.model.signature.version!r}",
            )
        return served

    def first(self) -> Served:
        return next(iter(self._by_name.values()))

    def watch(self, seconds: float = 1.0) -> None:
        """Looks at every bundle each so many seconds from now on, and reloads those that changed."""

        def forever() -> None:
            while True:
                time.sleep(seconds)
                self.reload()

        threading.Thread(target=forever, daemon=True).start()

    def reload(self) -> None:
        """Puts changed bundles in the place of the old; one that is not whole, or faulty, leaves the old one in service."""
        for name, served in list(self._by_name.items()):
            try:
                stamp = _stamp(served.path)
                if stamp == served.stamp:
                    continue
                model = self._load(served.path)
                if model.signature.name != name:
                    raise BundleError(
                        f"{served.path} now holds {model.signature.name!r} instead of {name!r}; restart to serve it"
                    )
                self._refuse_older(model, served, stamp)
            except Exception as error:  # a fault that nobody foresaw must not end the watch either
                fault = printable(str(error))
                if fault != served.fault:
                    served.fault = fault
                    self.metrics.reloads.add(1, name, "failed")
                    print(f"error: {fault}; the model loaded before goes on", file=sys.stderr)
                continue
            served.model, served.stamp, served.fault = model, stamp, ""
            self.metrics.reloads.add(1, name, "done")
            print(f"{served.path} was reloaded: {name} {model.signature.version}", file=sys.stderr)

    def _refuse_older(self, model: Model, served: Served, stamp: Tuple[int, ...]) -> None:
        """A signature says who made a bundle and not when: whoever keeps an old one could bring its faults back."""
        new, now = model.signature.version, served.model.signature.version
        if not self.may_roll_back and older(new, now):
            served.stamp = stamp  # it stays older, so that it is not loaded again each second
            raise BundleError(
                f"{served.path} now holds version {new}, older than {now}; --allow-rollback would serve it"
            )


def _stamp(path: Path) -> Tuple[int, ...]:
    """Changes when the bundle does: its archive, or the list of checksums of its folder."""
    bundle = locate(path)
    try:
        status = (bundle / MANIFEST if bundle.is_dir() else bundle).stat()
    except OSError as error:
        raise BundleError(
            f"{bundle} is not readable ({error.strerror}); name a bundle, or the folder that it was unpacked to"
        ) from None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _are(names: List[str]) -> str:
    return f"is {names[0]!r}" if len(names) == 1 else f"are {', '.join(map(repr, names))}"
