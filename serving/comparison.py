"""What the gate finds out about a file; verdicts are those of `gate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple, Union


@dataclass(frozen=True)
class MetricComparison:
    """What a file loses of another metric than accuracy; see `metric.compare`."""

    name: str
    value: float
    keras_value: float
    lost: float
    lost_bound: float
    lost_at_least: float
    largest_effect: float


@dataclass(frozen=True)
class Comparison:
    """A file and the reference on the same images; the accuracies are those on the test set.

    `images_needed` would prove a file that is not shown; None if none would.
    """

    state: str
    images: int
    test_images: int
    accuracy: float
    accuracy_interval: Tuple[float, float]
    keras_accuracy: float
    keras_accuracy_interval: Tuple[float, float]
    lost: int
    gained: int
    mcnemar_p_value: float
    accuracy_lost: float
    accuracy_lost_bound: float
    max_accuracy_drop: float
    agreement: float
    largest_difference: float
    mean_difference: float
    metric: Optional[MetricComparison] = None
    images_needed: Optional[int] = None

    @property
    def allowed(self) -> float:
        return self.max_accuracy_drop

    @property
    def counts(self) -> str:
        return f"{self.lost:,} of {self.images:,} examples lost, {self.gained:,} gained"

    @property
    def loss(self) -> float:
        return self.metric.lost if self.metric else self.accuracy_lost

    @property
    def bound(self) -> float:
        return self.metric.lost_bound if self.metric else self.accuracy_lost_bound


@dataclass(frozen=True)
class NumberComparison:
    """The same for a model that answers with a number: mean absolute errors, in its unit."""

    state: str
    images: int
    test_images: int
    error: float
    error_interval: Tuple[float, float]
    keras_error: float
    keras_error_interval: Tuple[float, float]
    error_added: float
    error_added_deviation: float
    error_added_bound: float
    max_error_added: float
    largest_difference: float
    mean_difference: float
    images_needed: Optional[int] = None

    @property
    def allowed(self) -> float:
        return self.max_error_added

    @property
    def bound(self) -> float:
        return self.error_added_bound


AnyComparison = Union[Comparison, NumberComparison]


@dataclass(frozen=True)
class MakersVerdict:
    """At most `bound` is lost of the metric, or added to the error."""

    verdict: str
    images: int
    bound: float


@dataclass(frozen=True)
class DeviceProof:
    """One file on one runtime of this device: the verdict here, its evidence, and the latency.

    Only numbers have a `unit`. The last four are those of `rejection`.
    """

    state: str
    comparison: AnyComparison
    golden_difference: float
    golden_tolerance: float
    maker: MakersVerdict
    unit: Optional[str]
    median_milliseconds: float
    p95_milliseconds: float
    answered: Optional[int] = None
    answered_wrong: Optional[int] = None
    interval: Optional[float] = None
    inside: Optional[int] = None

    @property
    def usable(self) -> bool:
        """Whether `Classifier.load` would accept it: it reproduces the golden vectors."""
        return self.golden_difference <= self.golden_tolerance
