"""What `verify` reports: a verdict on each pair of file and runtime, on each processor."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from pipeline.config.processors import NATIVE
from pipeline.files import artifacts
from pipeline.files.reports.report import Report, Section
from serving.metric import ACCURACY, METRICS
from serving.model_file import Requirements


class PairReport(Section):
    """A file on a runtime and a processor."""

    format: str
    runtime: str
    processor: str
    bytes: int
    runtime_version: str | None = None
    requirements: Requirements | None = None

    @property
    def is_native(self) -> bool:
        return self.processor == NATIVE

    @property
    def computes_in_integers(self) -> bool:
        return self.requirements is not None and "int8" in self.requirements.weights

    @property
    def name(self) -> str:
        """The pair in words."""
        return f"{self.format} on {self.runtime}{'' if self.is_native else f' on {self.processor}'}"


class FailedPair(PairReport):
    """A pair that could not run."""

    state: Literal["could not run"]
    reason: str


class Rejection(Section):
    """What becomes of the test images, of which only confident answers are accepted.

    `wrong` counts accepted answers, and so does `error`. The bounds are one-sided 95 % bounds.
    `state` says whether problem.coverage and problem.max_error are kept.
    """

    images: int
    accepted: int
    wrong: int
    coverage: float
    coverage_bound: float
    error: float
    error_bound: float
    state: Literal["proven", "not shown", "worse"]


class Others(Section):
    """How many test pictures of none of the classes are rejected, with a 95 % interval."""

    images: int
    rejected: int
    share: float
    interval: tuple[float, float]


class RanPair(PairReport):
    """A pair that ran: the figures and the verdict of serving.gate.compare.

    Only a native pair has times, in milliseconds for one image on the processor `measured_on`, or
    the reason why there are none. Only an emulated one has a `golden_difference`, the largest
    difference of a golden vector's output from this processor.
    """

    runtime_version: str
    requirements: Requirements
    arena_bytes: int | None = None
    state: Literal["proven", "not shown", "worse"]
    images: int
    test_images: int
    largest_difference: float
    mean_difference: float
    images_needed: int | None = None
    golden_difference: float | None = None
    reason: str | None = None
    median_milliseconds: float | None = None
    p95_milliseconds: float | None = None
    measured_on: str | None = None
    latency_reason: str | None = None

    @property
    def bound(self) -> float:
        """At most this much accuracy is lost, or error added."""
        raise NotImplementedError


class MetricLoss(Section):
    """What a file loses of problem.metric, if that is not accuracy; see serving.metric."""

    name: str
    value: float
    interval: tuple[float, float]  # 95 %
    keras_value: float
    keras_interval: tuple[float, float]
    lost: float
    lost_bound: float
    lost_at_least: float
    largest_effect: float

    @property
    def words(self) -> str:
        return METRICS[self.name].words


class ComparedPair(RanPair):
    """A pair whose answers are right or wrong.

    A native one has the expected calibration error on its test images, and what it rejects: a file
    with `accept_from` answers "none of these" if its largest probability is lower.
    """

    accept_from: float | None = None
    accuracy: float
    accuracy_interval: tuple[float, float]
    keras_accuracy: float
    keras_accuracy_interval: tuple[float, float]
    lost: int
    gained: int
    mcnemar_p_value: float
    accuracy_lost: float
    accuracy_lost_bound: float
    max_accuracy_drop: float
    agreement: float
    metric: MetricLoss | None = None
    calibration_error: float | None = None
    rejection: Rejection | None = None
    others: Others | None = None  # with dataset.other

    @property
    def bound(self) -> float:
        return self.metric.lost_bound if self.metric else self.accuracy_lost_bound

    @property
    def score(self) -> tuple[str, float, tuple[float, float]]:
        """The name of the metric in words, its value on the test set, and its 95 % interval."""
        if self.metric:
            return self.metric.words, self.metric.value, self.metric.interval
        return METRICS[ACCURACY].words, self.accuracy, self.accuracy_interval


class Coverage(Section):
    """How many of the test set's true numbers are within `half_width` of a file's.

    `bound` is the one-sided lower 95 % bound of their share; `state` says whether problem.coverage
    is kept.
    """

    half_width: float
    images: int
    inside: int
    share: float
    bound: float
    state: Literal["proven", "not shown", "worse"]


class NumberPair(RanPair):
    """A pair that gives a number: mean absolute errors, in its `unit`.

    A native one has the `coverage` of its interval, if problem.coverage asks for one.
    """

    unit: str
    error: float
    error_interval: tuple[float, float]
    keras_error: float
    keras_error_interval: tuple[float, float]
    error_added: float
    error_added_deviation: float
    error_added_bound: float
    max_error_added: float
    coverage: Coverage | None = None

    @property
    def bound(self) -> float:
        return self.error_added_bound


class JudgedOn(Section):
    """The inputs that the weights have not seen, and what they are called."""

    test: int
    validation: int
    noun: str = "images"

    @property
    def images(self) -> int:
        return self.test + self.validation


AnyPair = FailedPair | ComparedPair | NumberPair


def _kind(values: Any) -> str:
    """Which of them a pair is, by its fields."""
    names = values if isinstance(values, dict) else values.__dict__
    if "error_added" in names:
        return "number"
    return "compared" if "accuracy" in names else "failed"


TaggedPair = Annotated[
    Annotated[FailedPair, Tag("failed")]
    | Annotated[ComparedPair, Tag("compared")]
    | Annotated[NumberPair, Tag("number")],
    Discriminator(_kind),
]


class VerificationReport(Report):
    PATH: ClassVar = artifacts.REPORTS / "verify.json"

    model_sha256: str
    judged_on: JudgedOn
    pairs: list[TaggedPair]
    not_rejecting: dict[str, str] = Field(default_factory=dict)  # formats, and why they do not
    span: float | None = None  # of the Keras model's numbers: the highest less the lowest

    @property
    def by_reason(self) -> dict[str, list[str]]:
        """The formats that reject nothing, by the reason."""
        result: dict[str, list[str]] = {}
        for name, reason in self.not_rejecting.items():
            result.setdefault(reason, []).append(name)
        return result

    @property
    def ran(self) -> list[RanPair]:
        return [pair for pair in self.pairs if isinstance(pair, RanPair)]

    @property
    def here(self) -> list[RanPair]:
        """The pairs that ran on this processor."""
        return [pair for pair in self.ran if pair.is_native]

    @property
    def native(self) -> list[ComparedPair]:
        """Those of them whose answers are right or wrong."""
        return [pair for pair in self.here if isinstance(pair, ComparedPair)]

    @property
    def numbers(self) -> list[NumberPair]:
        """Those of them that give a number."""
        return [pair for pair in self.here if isinstance(pair, NumberPair)]

    def half_width(self, format_name: str) -> float | None:
        """Of the interval of this file's numbers; None if it has none."""
        pairs = [pair for pair in self.numbers if pair.format == format_name]
        return max((pair.coverage.half_width for pair in pairs if pair.coverage), default=None)

    def accept_from(self, format_name: str) -> float | None:
        """The least probability of an answer of this file; None if it answers every input."""
        pairs = [pair for pair in self.native if pair.format == format_name]
        return max(
            (pair.accept_from for pair in pairs if pair.accept_from is not None), default=None
        )
