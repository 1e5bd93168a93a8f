"""The metrics at `/metrics`, in Prometheus' text format 0.0.4.

The format: https://prometheus.io/docs/instrumenting/exposition_formats. Written by hand, because
the server must also run where no package may be installed.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

from serving.server.place import Place

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64)

Labels = Tuple[object, ...]


class Metric:
    kind = ""

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self._lock = threading.Lock()

    def samples(self) -> Iterator[str]:
        raise NotImplementedError

    def line(
        self, values: Labels, value: float, suffix: str = "", *more: Tuple[str, object]
    ) -> str:
        pairs = [*zip(self.labels, values), *more]
        labels = ",".join(f'{label}="{_escaped(str(content))}"' for label, content in pairs)
        return f"{self.name}{suffix}{'{' + labels + '}' if labels else ''} {value}"

    def __str__(self) -> str:
        return "\n".join(
            [
                f"# HELP {self.name} {self.meaning}",
                f"# TYPE {self.name} {self.kind}",
                *self.samples(),
            ]
        )


class Counter(Metric):
    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, meaning, labels)
        self._values: Dict[Labels, int] = {}

    def add(self, amount: int, *labels: object) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def samples(self) -> Iterator[str]:
        with self._lock:
            values = sorted(self._values.items(), key=str)
        return (self.line(labels, value) for labels, value in values)


class Histogram(Metric):
    kind = "histogram"

    def __init__(
        self, name: str, meaning: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        super().__init__(name, meaning, labels)
        self.bounds = bounds
        self._counts: Dict[Labels, List[int]] = {}
        self._sums: Dict[Labels, float] = {}

    def observe(self, value: float, *labels: object) -> None:
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self.bounds) + 1))
            counts[bisect_left(self.bounds, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def samples(self) -> Iterator[str]:
        with self._lock:
            rows = [
                (labels, list(counts), self._sums[labels])
                for labels, counts in self._counts.items()
            ]
        for labels, counts, total in rows:
            below = 0
            for bound, count in zip([*self.bounds, "+Inf"], counts):
                below += count
                yield self.line(labels, below, "_bucket", ("le", bound))
            yield self.line(labels, total, "_sum")
            yield self.line(labels, below, "_count")


class Gauge(Metric):
    """A value that is read whenever the metrics are."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str],
        read: Callable[[], Iterator[Tuple[Labels, float]]],
    ) -> None:
        super().__init__(name, meaning, labels)
        self._read = read

    def samples(self) -> Iterator[str]:
        return (self.line(labels, value) for labels, value in self._read())


class Metrics:
    """All metrics of one server, also if it is several processes."""

    def __init__(self, place: Place) -> None:
        self.requests = Counter(
            "serving_requests_total",
            "Requests answered, by route and HTTP status.",
            ("route", "status"),
        )
        self.seconds = Histogram(
            "serving_request_seconds",
            "From a complete request to its response.",
            SECONDS,
            ("route",),
        )
        self.images = Counter("serving_images_total", "Images predicted.", ("model", "version"))
        self.rejected = Counter(
            "serving_rejected_images_total",
            "Images predicted as none of the classes.",
            ("model", "version"),
        )
        self.batch = Histogram(
            "serving_batch_images", "Images computed together.", IMAGES, ("model",)
        )
        self.reloads = Counter(
            "serving_reloads_total",
            "Changed bundles, by whether they were loaded.",
            ("model", "outcome"),
        )
        self.logged = Counter("serving_logged_images_total", "Images whose prediction was logged.")
        self.unlogged = Counter(
            "serving_unlogged_images_total", "Images whose prediction the log could not take."
        )
        self.labels = Counter(
            "serving_labels_total",
            "True answers received, by whether the prediction was right, or held the number.",
            ("model", "version", "right"),
        )
        self.all: List[Metric] = [*vars(self).values()]
        self.place = place

    def __str__(self) -> str:
        return self.place.total(self._own())

    def publish(self) -> None:
        """Lets the other processes of this server count these metrics too."""
        self.place.publish(self._own())

    def _own(self) -> str:
        return "\n".join(map(str, self.all)) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
