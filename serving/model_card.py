"""The contract between the pipeline and every device: a bundle's files and their verification."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from serving import typed_json
from serving.errors import BundleError
from serving.inputs import KINDS, SERIES, SOUNDS, InputKind
from serving.log_mel import LogMel
from serving.model_file import ModelFile, Number, Score
from serving.recording import Sampling
from serving.reference import Reference
from serving.typed_json import (
    Text,
    expect,
    expect_amounts,
    expect_counts,
    expect_fractions,
    expect_interval,
    expect_words,
)

FILE = "model_card.json"
LARGEST_BYTES = 1 << 20
TARGETS = ("classes", "labels", "number")
CARD_VERSION = 2  # raised when an older `serving` could misread the card
# Short enough for ustar
NAME, VERSION = "[a-z0-9][a-z0-9._-]{0,63}", "[0-9A-Za-z][0-9A-Za-z.+-]{0,63}"
LARGEST_TENSOR = 1 << 26  # values; more would only fill a device's memory
LARGEST_VALUE = 2**31 - 1  # of an input
# Unknown to older packages, so left out where there is none
ADDED = {
    *("number", "error", "error_interval", "error_added_bound", "interval", "region", "sound"),
    *("series", "metric", "metric_value", "metric_interval", "metric_lost_bound", "holds_from"),
    "spread",
}


@dataclass(frozen=True)
class Tensor:
    """An input or output, the same in every file of the bundle; `shape` omits the batch."""

    name: str
    type: str
    shape: Tuple[int, ...]
    range: Tuple[float, float]

    def __post_init__(self) -> None:
        positive = bool(self.shape) and all(size > 0 for size in self.shape)
        expect(
            positive and math.prod(self.shape) <= LARGEST_TENSOR,
            f"shape is {str(self.shape)[:40]}, "
            f"expected sizes above 0 and at most {LARGEST_TENSOR:,} values",
        )
        low, high = self.range
        rises = -LARGEST_VALUE <= low < high <= LARGEST_VALUE
        expect(rises, f"range is {low} to {high}, expected two that rise")


@dataclass(frozen=True)
class Preprocessing:
    """Only the method `mnist` has a `box`, only `region` has one."""

    method: str
    description: Text
    box: Optional[int] = None
    region: Optional[Tuple[float, float, float, float]] = None
    sound: Optional[LogMel] = None
    series: Optional[Sampling] = None

    def __post_init__(self) -> None:
        left, top, right, bottom = self.region or (0, 0, 1, 1)
        rises = 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        fits = rises and bool(self.region) == (self.method == "region")
        expect(
            fits, f"region is {self.region}, expected fractions that rise, for the method region"
        )

    def check(self, type: str, shape: Tuple[int, ...]) -> None:
        sound, series, box = self.sound, self.series, self.box
        fits = sound is None or (type, shape[1:]) == (SOUNDS.type, (sound.bands, 1))
        fits &= series is None or (type, shape[1:]) == (SERIES.type, (len(series.channels),))
        expect(fits, f"input.shape is {shape}, expected frames of {sound or series}")
        inside = box is None or (1 <= box <= shape[0] and shape == (shape[0], shape[0], 1))
        expect(inside, f"box is {box}, expected one inside a square image of one channel")


@dataclass(frozen=True)
class Embedded:
    """The model without Python: `embedded/<target>`, made from the file of `format`.

    If the target does not support the model, `refused` says why and there is no folder.
    """

    target: str
    format: str
    measured: Dict[str, Any] = field(default_factory=dict)
    refused: Optional[Text] = None


@dataclass(frozen=True)
class ModelCard:
    name: str
    version: str
    statement: Text
    use: Text
    limits: List[Text]
    class_names: List[str]
    input: Tensor
    output: Tensor
    preprocessing: Preprocessing
    test_accuracy: Optional[float]
    test_accuracy_interval: Optional[Tuple[float, float]]
    test_images: int
    baseline_accuracy: Optional[float]
    files: List[ModelFile]
    provenance: Dict[str, Any]
    embedded: List[Embedded] = field(default_factory=list)
    reference: Optional[Reference] = None
    not_proven: List[str] = field(default_factory=list)  # a sentence for each gate that it fails
    acceptance_images: int = 0  # for `serving prove`
    no_acceptance: Optional[str] = None  # why there is none
    target: str = "classes"  # or "labels", several at once, or "number"
    number: Optional[Number] = None  # if that is the target; then there are no accuracies
    # For people: the rule, the coverage and the error promised; programs read each accept_from
    rejection: Optional[Dict[str, Any]] = None
    metric: Optional[Score] = None
    holds_from: Optional[List[float]] = None  # the least probability of each of several labels
    card_version: int = CARD_VERSION

    def _check(self) -> None:
        """Checks what the types do not express. Raises ValueError."""
        for name, pattern in (("name", NAME), ("version", VERSION)):
            value = getattr(self, name)
            matches = bool(re.fullmatch(pattern, value))
            expect(matches, f"{name} is {value[:40]!r}, expected {pattern}")
        for class_name in self.class_names:
            expect_words(class_names=class_name)
        for reason in self.not_proven:
            expect_words(not_proven=reason)
        expect_fractions(test_accuracy=self.test_accuracy, baseline_accuracy=self.baseline_accuracy)
        expect_interval(test_accuracy_interval=self.test_accuracy_interval)
        expect_counts(test_images=self.test_images)
        expect_amounts(acceptance_images=self.acceptance_images)
        known = " or ".join(TARGETS)
        expect(self.target in TARGETS, f"target is {self.target[:40]!r}, expected {known}")
        self._check_scores()
        rejecting = [file.format for file in self.files if file.accept_from is not None]
        expect(
            self.target == "classes" or not rejecting,
            f"{rejecting} have an accept_from, expected none for {self.target}",
        )
        for least in self.holds_from or []:
            expect_fractions(holds_from=least)
        classes, kind = (len(self.class_names),), KINDS.get(self.input.type)
        fits = not self.holds_from or (self.target, (len(self.holds_from),)) == ("labels", classes)
        expect(fits, "holds_from is not one for each of several labels")
        shape = self.output.shape
        expect(shape == classes, f"output.shape is {shape}, expected {classes}, the classes")
        known = " or ".join(KINDS)
        expect(kind is not None, f"input.type is {self.input.type[:40]!r}, expected {known}")
        sizes, expected = len(self.input.shape), self.kind.dimensions
        expect(sizes == expected, f"input.shape has {sizes} sizes, expected {expected}")
        self.preprocessing.check(self.input.type, self.input.shape)
        if self.reference:
            self.reference.check(len(self.class_names), self.test_images)
            one_each = self.target != "classes" or sum(self.reference.predicted) > 0
            expect(one_each, "reference.predicted are all 0, expected the test's answers")

    def _check_scores(self) -> None:
        """Expects errors of a model that answers with a number, and accuracies of any other."""
        is_number = self.target == "number"
        accuracies = self.test_accuracy, self.test_accuracy_interval, self.baseline_accuracy
        complete = all((value is None) == is_number for value in accuracies)
        expect(
            complete and (self.number is not None) == is_number,
            f"target is {self.target}, and its scores are of another kind",
        )
        for file in self.files:
            expect(
                is_number or file.golden_tolerance <= 1,
                f"golden_tolerance is {file.golden_tolerance}, expected at most 1",
            )
            for proof in file.proofs:
                missing = proof.missing(is_number)
                expect(not missing, f"{missing} is missing from a proof of {file.format}")

    @property
    def draft(self) -> str:
        """Says that this is a draft and which gates fail; "" for any other bundle."""
        if not self.not_proven:
            return ""
        first, *others = self.not_proven
        more = f", and {len(others)} more" if others else ""
        return f"a draft, NOT PROVEN ({first}{more})"

    @property
    def kind(self) -> InputKind:
        """The kind of the input."""
        return SOUNDS if self.preprocessing.sound else KINDS[self.input.type]

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """(H, W, C) or (L,)"""
        return self.input.shape

    def dump(self) -> bytes:
        """The card as the bytes of its file."""
        values = _without_added(dataclasses.asdict(self))
        return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> ModelCard:
        """Parses the bytes of a card. Raises BundleError."""
        try:
            if len(data) > LARGEST_BYTES:
                raise ValueError(f"it has {len(data):,} bytes, expected at most {LARGEST_BYTES:,}")
            values = typed_json.loads(data)
            version = values.get("card_version") if isinstance(values, dict) else CARD_VERSION
            if version != CARD_VERSION:
                raise ValueError(
                    f"it has version {str(version)[:40]}, this package reads version "
                    f"{CARD_VERSION}; install the other"
                )
            card = typed_json.build(cls, values)
            card._check()
        except ValueError as error:
            raise BundleError(
                f"{FILE} is not a model card ({error}); make the bundle again"
            ) from None
        return card


def _without_added(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_added(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_added(item)
        for name, item in value.items()
        if item is not None or name not in ADDED
    }
