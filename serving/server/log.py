"""The log of a server: a thread of its own writes it, so that no request ever waits for the disk."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Union

from serving.classifier import Classifier
from serving.errors import LogError, RequestError, ServingError
from serving.prediction_log import Entry, PredictionLog
from serving.server.limits import Limits
from serving.server.metrics import Metrics

GATHER_SECONDS = 0.05  # what comes within them goes into one transaction
IDLE_SECONDS = 1.0  # without a prediction, after which the log is one file again


class Labels(NamedTuple):
    """True classes by id, and the future of how many were noted."""

    labels: Mapping[str, str]
    future: Future[Dict[str, Any]]


Job = Union[Entry, Labels, None]  # None: the end


class LogWriter:
    def __init__(
        self, log: PredictionLog, limits: Limits, metrics: Metrics, replace_labels: bool = False
    ) -> None:
        self.log, self.limits, self.metrics, self.replace_labels = (
            log,
            limits,
            metrics,
            replace_labels,
        )
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._lock, self._waiting = threading.Lock(), 0  # bytes
        self._fault = ""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, classifier: Classifier, images: Any, probabilities: Any) -> Optional[str]:
        """The id under which images (N, H, W, C) will be logged; None where too many wait, and these are not."""
        size = images.nbytes + probabilities.nbytes
        with self._lock:
            full = self._waiting + size > self.limits.max_log_bytes
            self._waiting += 0 if full else size
        if full:
            self.metrics.unlogged.add(len(images))
            return None
        ids = self.log.new_ids(len(images))
        self._jobs.put(Entry(ids, time.time(), classifier, images, probabilities))
        return ids[0].partition(".")[0]

    async def label(self, labels: Mapping[str, str]) -> Dict[str, Any]:
        """Notes true classes by id, once all that came before is written. Raises RequestError."""
        job = Labels(labels, Future())
        self._jobs.put(job)
        noted = asyncio.wrap_future(job.future)
        if not (await asyncio.wait([noted], timeout=self.limits.seconds_to_wait))[0]:
            noted.cancel()
            raise RequestError(
                503, "the log did not take the labels in time, so try again in a second"
            )
        return noted.result()

    def close(self) -> None:
        """Ends when all is written that was to be logged."""
        self._jobs.put(None)
        self._thread.join(self.limits.seconds_to_wait)

    def _work(self) -> None:
        going, written = True, False
        while going:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS) if written else self._jobs.get()
            except Empty:
                written = False
                self._try(self.log.checkpoint)
                continue
            jobs = [job, *self._gathered(job)]
            going, written = None not in jobs, True
            self._write([job for job in jobs if isinstance(job, Entry)])
            for labels in jobs:
                if isinstance(labels, Labels):
                    self._label(labels)
        with suppress(LogError):
            self.log.close()

    def _gathered(self, first: Job) -> List[Job]:
        """What waits behind the first job, which is waited for where the first is no hurry."""
        if isinstance(first, Entry):
            time.sleep(GATHER_SECONDS)
        jobs: List[Job] = []
        with suppress(Empty):
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _write(self, entries: List[Entry]) -> None:
        if not entries:
            return
        images = sum(len(entry.images) for entry in entries)
        done = self._try(self.log.write, entries)
        (self.metrics.logged if done else self.metrics.unlogged).add(images)
        with self._lock:
            self._waiting -= sum(
                entry.images.nbytes + entry.probabilities.nbytes for entry in entries
            )

    def _try(self, function: Any, *arguments: Any) -> bool:
        """Whatever happens to the log, the server goes on; a fault is told once, and so is its end."""
        fault = ""
        try:
            function(*arguments)
        except Exception as error:
            fault = str(error) if isinstance(error, LogError) else f"the log failed: {error!r}"
        if fault != self._fault:
            print(
                f"error: {fault}; the server goes on"
                if fault
                else f"{self.log.path} is written again",
                file=sys.stderr,
            )
            self._fault = fault
        return not fault

    def _label(self, job: Labels) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            found, unknown = self.log.label(job.labels, self.replace_labels)
        except Exception as error:
            status = (
                503
                if isinstance(error, LogError)
                else 400
                if isinstance(error, ServingError)
                else 500
            )
            job.future.set_exception(
                RequestError(
                    status, str(error) if isinstance(error, ServingError) else "the log failed"
                )
            )
            return
        noted = [labelled for labelled in found if not labelled.kept]
        kept = [labelled.id for labelled in found if labelled.kept]
        for labelled in found:
            if labelled.changed:  # a label may come again, as its answer was lost
                self.metrics.labels.add(
                    1, labelled.model, labelled.version, str(labelled.right).lower()
                )
        job.future.set_result(
            {"labelled": len(noted), "unknown": unknown, **({"kept": kept} if kept else {})}
        )
