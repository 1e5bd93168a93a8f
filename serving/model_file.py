"""One model file of a bundle: what it requires, how it was verified, and scores on the card."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving import typed_json
from serving.gate import COULD_NOT_RUN, VERDICTS
from serving.metric import ACCURACY, METRICS
from serving.reference import Spread
from serving.typed_json import (
    expect,
    expect_amounts,
    expect_counts,
    expect_fractions,
    expect_interval,
    expect_words,
)

RUNTIME_VERSION = r"(opset )?[0-9]{1,9}(\.[0-9]{1,9})*"
SHA256 = "[0-9a-f]{64}"
LARGEST_ERROR = 1e39  # of numbers of 32 bits
NONE = -1  # the class of an input that the file rejects: none of the classes


@dataclass(frozen=True)
class Requirements:
    """What a file needs and offers.

    `operators` are "NAME vVERSION"; quantizations are (scale, zero point) of quantized tensors.
    """

    minimum_runtime_version: Optional[str]
    operators: List[str]
    weights: str
    batch: str
    input_quantization: Optional[Tuple[float, int]] = None
    output_quantization: Optional[Tuple[float, int]] = None

    def __post_init__(self) -> None:
        version = self.minimum_runtime_version
        expect(
            not version or bool(re.fullmatch(RUNTIME_VERSION, version)),
            f"minimum_runtime_version is {str(version)[:40]!r}, "
            "expected one such as 2.14.0 or opset 17",
        )
        for operator in self.operators:
            expect_words(operators=operator)

    @classmethod
    def parse(cls, values: Dict[str, Any]) -> Requirements:
        """From JSON. Raises ValueError."""
        return typed_json.build(cls, values)


@dataclass(frozen=True)
class Proof:
    """The verification of one file on one runtime, on the maker's processor.

    `verdict` is one of serving.gate's. Accuracies are fractions, times milliseconds for one image
    on `processor`. `images` were compared, including the test set. A model that answers with a
    number has errors in its unit in place of accuracies.
    """

    runtime: str
    runtime_version: str
    verdict: str
    images: int
    accuracy: Optional[float] = None
    accuracy_interval: Optional[Tuple[float, float]] = None
    accuracy_lost_bound: Optional[float] = None
    agreement: Optional[float] = None
    error: Optional[float] = None
    error_interval: Optional[Tuple[float, float]] = None
    error_added_bound: Optional[float] = None
    median_milliseconds: Optional[float] = None
    processor: Optional[str] = None
    arena_bytes: Optional[int] = None
    # Of the card's metric, if it has one; the verdict is then by it
    metric_value: Optional[float] = None
    metric_interval: Optional[Tuple[float, float]] = None
    metric_lost_bound: Optional[float] = None

    def __post_init__(self) -> None:
        expect_words(runtime=self.runtime, runtime_version=self.runtime_version)
        expect_verdict(self.verdict)
        expect_counts(images=self.images)
        expect_fractions(
            accuracy=self.accuracy, agreement=self.agreement, metric_value=self.metric_value
        )
        expect_interval(accuracy_interval=self.accuracy_interval)
        bound = self.accuracy_lost_bound
        expect(
            bound is None or -1 <= bound <= 1, f"accuracy_lost_bound is {bound}, expected -1 to 1"
        )
        expect_amounts(error=self.error)
        if self.error is not None and self.error_interval:
            low, high = self.error_interval
            rises = -LARGEST_ERROR <= low <= self.error <= high <= LARGEST_ERROR
            expect(rises, f"error_interval is {low} to {high}, expected one around {self.error}")
        expect_amounts(median_milliseconds=self.median_milliseconds, arena_bytes=self.arena_bytes)

    @property
    def bound(self) -> float:
        """At most this much accuracy, or of the card's metric, is lost, or error added."""
        bounds = self.metric_lost_bound, self.accuracy_lost_bound, self.error_added_bound
        return next(bound for bound in bounds if bound is not None)

    def missing(self, number: bool) -> str:
        """The first field that the proof of such a model lacks; empty if it has all."""
        names = ["accuracy", "accuracy_interval", "accuracy_lost_bound", "agreement"]
        if number:
            names = ["error", "error_interval", "error_added_bound"]
        return next((name for name in names if getattr(self, name) is None), "")


@dataclass(frozen=True)
class Score:
    """On a model card: the metric, if it is not accuracy, of model and baseline on the test set."""

    name: str
    value: float
    interval: Tuple[float, float]
    baseline: float

    def __post_init__(self) -> None:
        known = [name for name in METRICS if name != ACCURACY]
        expect(self.name in known, f"metric is {self.name[:40]!r}, expected {' or '.join(known)}")
        expect_fractions(value=self.value, baseline=self.baseline)
        expect_interval(interval=self.interval)

    @property
    def words(self) -> str:
        return METRICS[self.name].words


@dataclass(frozen=True)
class Number:
    """What a model that answers with a number has in place of accuracies, in its `unit`.

    The errors are mean absolute errors on the test set. A file may add `max_error_added`. The true
    number is within the `interval` of a file for at least the share `coverage` of inputs. The
    `spread` is that of the test set, as the trained model saw it.
    """

    unit: str
    error: float
    error_interval: Tuple[float, float]
    root_mean_square_error: float
    r_squared: float
    baseline_error: float
    max_error_added: float
    coverage: Optional[float] = None
    spread: Optional[Spread] = None

    def __post_init__(self) -> None:
        expect_words(unit=self.unit)
        expect_amounts(error=self.error, baseline_error=self.baseline_error)
        allowed = self.max_error_added
        expect(allowed > 0, f"max_error_added is {allowed}, expected above 0")
        expect_fractions(coverage=self.coverage)


@dataclass(frozen=True)
class Emulated:
    """The verification of one file on one runtime, on a processor emulated by QEMU.

    `golden_difference` is the largest difference of a golden vector's probability from the maker's
    processor.
    """

    processor: str
    description: str
    runtime: str
    verdict: str
    images: int
    agreement: Optional[float]
    largest_difference: float
    golden_difference: Optional[float] = None

    def __post_init__(self) -> None:
        expect_words(processor=self.processor, description=self.description, runtime=self.runtime)
        expect_verdict(self.verdict)
        expect_counts(images=self.images)
        expect_fractions(agreement=self.agreement)
        expect_amounts(
            largest_difference=self.largest_difference, golden_difference=self.golden_difference
        )


@dataclass(frozen=True)
class ModelFile:
    """A file and the runtimes that ran it; golden vectors may differ by `golden_tolerance`.

    It rejects an input if no probability reaches `accept_from`; without one it rejects nothing. The
    true number is within `interval` of a number that it gives, as often as the card says.
    """

    format: str
    file: str
    bytes: int
    sha256: str
    golden_tolerance: float
    requirements: Requirements
    proofs: List[Proof]
    emulated: List[Emulated] = field(default_factory=list)
    accept_from: Optional[float] = None
    interval: Optional[float] = None

    def __post_init__(self) -> None:
        expect_words(format=self.format, file=self.file)
        expect_counts(bytes=self.bytes)
        expect_fractions(accept_from=self.accept_from)
        expect_amounts(interval=self.interval)
        tolerance = self.golden_tolerance
        expect(tolerance > 0, f"golden_tolerance is {tolerance}, expected above 0")
        expect(
            bool(re.fullmatch(SHA256, self.sha256)),
            f"sha256 is {self.sha256[:40]!r}, expected 64 hexadecimal digits",
        )

    def answers(self, probabilities: Any) -> Any:
        """The class of each row of probabilities (N, K), or NONE, as (N,) integers."""
        return answers(probabilities, self.accept_from)


def answers(probabilities: Any, accept_from: Optional[float]) -> Any:
    """The class of each row of probabilities (N, K) float32; NONE where none is `accept_from`."""
    classes = probabilities.argmax(1)
    if accept_from is not None:
        # As float32, like the probabilities: C and the page compare the same numbers.
        classes[~(probabilities.max(1) >= np.float32(accept_from))] = NONE
    return classes


def expect_verdict(verdict: str) -> None:
    possible = [name for name in VERDICTS if name != COULD_NOT_RUN]
    expect(
        verdict in possible, f"verdict is {verdict[:40]!r}, expected one of {', '.join(possible)}"
    )
