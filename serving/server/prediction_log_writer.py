"""The thread that writes a server's log of predictions, so that no request waits for the disk."""

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
from serving.logged_answers import Label
from serving.prediction_log import Entry, PredictionLog
from serving.server.limits import Limits
from serving.server.prometheus import Metrics

GATHER_SECONDS = 0.05  # predictions that arrive within this time are written in one transaction
# After which the log has the predictions of other processes too, if it ever will.
SHARED_SECONDS = 4 * GATHER_SECONDS
IDLE_SECONDS = 1.0  # without a prediction, after which the log is merged into one file


class Labels(NamedTuple):
    """True answers by id, and the future that reports what became of them."""

    labels: Mapping[str, Label]
    future: Future[Dict[str, Any]]


Job = Union[Entry, Labels, None]  # None ends the thread


class LogWriter:
    def __init__(
        self,
        log: PredictionLog,
        limits: Limits,
        metrics: Metrics,
        replace_labels: bool = False,
        is_shared: bool = False,
    ) -> None:
        """`is_shared`: other processes of this server log their predictions too."""
        self.log, self.limits, self.metrics = log, limits, metrics
        self.replace_labels, self.is_shared = replace_labels, is_shared
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._lock, self._waiting_bytes = threading.Lock(), 0
        self._fault = ""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, classifier: Classifier, images: Any, probabilities: Any) -> Optional[str]:
        """The id under which images (N, H, W, C) will be logged.

        None if too many are waiting; these images are then not logged.
        """
        size = images.nbytes + probabilities.nbytes
        with self._lock:
            full = self._waiting_bytes + size > self.limits.max_log_bytes
            self._waiting_bytes += 0 if full else size
        if full:
            self.metrics.unlogged.add(len(images))
            return None
        ids = self.log.new_ids(len(images))
        self._jobs.put(Entry(ids, time.time(), classifier, images, probabilities))
        return ids[0].partition(".")[0]

    async def label(self, labels: Mapping[str, Label]) -> Dict[str, Any]:
        """Stores true answers by id, after all earlier predictions. Raises RequestError."""
        outcome = await self._label_once(labels)
        if outcome["unknown"] and self.is_shared:
            # A prediction may be in another process still. A label that is repeated counts once.
            await asyncio.sleep(SHARED_SECONDS)
            outcome = await self._label_once(labels)
        return outcome

    async def _label_once(self, labels: Mapping[str, Label]) -> Dict[str, Any]:
        job = Labels(labels, Future())
        self._jobs.put(job)
        outcome = asyncio.wrap_future(job.future)
        done, _ = await asyncio.wait([outcome], timeout=self.limits.seconds_to_wait)
        if not done:
            outcome.cancel()
            raise RequestError(
                503, "the log did not take the labels in time, so try again in a second"
            )
        return outcome.result()

    def close(self) -> None:
        """Returns when every prediction is written."""
        self._jobs.put(None)
        self._thread.join(self.limits.seconds_to_wait)

    def _work(self) -> None:
        running, unmerged = True, False
        while running:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS) if unmerged else self._jobs.get()
            except Empty:
                unmerged = False
                self._try(self.log.checkpoint)
                continue
            jobs = [job, *self._gather(job)]
            running, unmerged = None not in jobs, True
            self._write([job for job in jobs if isinstance(job, Entry)])
            for labels in jobs:
                if isinstance(labels, Labels):
                    self._label(labels)
        with suppress(LogError):
            self.log.close()

    def _gather(self, first: Job) -> List[Job]:
        """The jobs behind the first; waits for more of them unless a client waits for the first."""
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
        written = self._try(self.log.write, entries)
        (self.metrics.logged if written else self.metrics.unlogged).add(images)
        with self._lock:
            self._waiting_bytes -= sum(
                entry.images.nbytes + entry.probabilities.nbytes for entry in entries
            )

    def _try(self, function: Any, *arguments: Any) -> bool:
        """Whether `function` succeeded: no fault of the log stops the server.

        Prints a fault once, and once that it is over.
        """
        fault = ""
        try:
            function(*arguments)
        except Exception as error:
            fault = str(error) if isinstance(error, LogError) else f"the log failed: {error!r}"
        if fault != self._fault:
            over = f"{self.log.path} is written again"
            print(f"error: {fault}; the server goes on" if fault else over, file=sys.stderr)
            self._fault = fault
        return not fault

    def _label(self, job: Labels) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            labelled, unknown = self.log.label(job.labels, self.replace_labels)
        except Exception as error:
            job.future.set_exception(_as_request_error(error))
            return
        for row in labelled:
            # A client repeats a label when it has lost the response; that must not count twice.
            if row.changed:
                right = "unknown" if row.right is None else str(row.right).lower()
                self.metrics.labels.add(1, row.model, row.version, right)
        kept = [row.id for row in labelled if row.kept]
        outcome: Dict[str, Any] = {"labelled": len(labelled) - len(kept), "unknown": unknown}
        if kept:
            outcome["kept"] = kept
        job.future.set_result(outcome)


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, LogError):
        return RequestError(503, str(error))
    if isinstance(error, ServingError):
        return RequestError(400, str(error))
    return RequestError(500, "the log failed")
