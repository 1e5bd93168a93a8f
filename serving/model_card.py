"""The contract between the export and every device: what the files of a bundle are and what was found of them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from serving import typed_json
from serving.errors import BundleError
from serving.gate import VERDICTS
from serving.typed_json import Text

FILE = "model_card.json"
LARGEST_BYTES = 1 << 20
CARD_VERSION = 2  # grows when a device with an older `serving` could misread the card
NAME, VERSION = (
    "[a-z0-9][a-z0-9._-]{0,63}",
    "[0-9A-Za-z][0-9A-Za-z.+-]{0,63}",
)  # short enough for ustar
RUNTIME_VERSION = r"(opset )?[0-9]{1,9}(\.[0-9]{1,9})*"
SHA256 = "[0-9a-f]{64}"
DIMENSIONS = {"uint8": 3, "int32": 1}  # of inputs: pixels (H, W, C) and ids (L,)
LARGEST_TENSOR = 1 << 26  # values; larger ones would only fill the memory of a device
LARGEST_VALUE = 2**31 - 1  # of an input


def _expect(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _expect_words(**texts: str) -> None:
    for name, text in texts.items():
        _expect(bool(text.strip()), f"{name} is {text[:40]!r}, expected one line of text")


def _expect_fractions(**values: float) -> None:
    for name, value in values.items():
        _expect(0 <= value <= 1, f"{name} is {value}, expected 0 to 1")


def _expect_interval(name: str, interval: Tuple[float, float]) -> None:
    low, high = interval
    _expect(0 <= low <= high <= 1, f"{name} is {low} to {high}, expected two that rise from 0 to 1")


def _expect_counts(**values: int) -> None:
    for name, value in values.items():
        _expect(value >= 1, f"{name} is {value}, expected 1 or more")


def _expect_amounts(**values: Optional[float]) -> None:
    for name, value in values.items():
        _expect(value is None or value >= 0, f"{name} is {value}, expected 0 or more")


def _expect_verdict(verdict: str) -> None:
    *of_what_ran, _ = VERDICTS
    _expect(
        verdict in of_what_ran,
        f"verdict is {verdict[:40]!r}, expected one of {', '.join(of_what_ran)}",
    )


@dataclass(frozen=True)
class Tensor:
    """An input or output; `shape` leaves the batch out. Both are the same in every file of the bundle."""

    name: str
    type: str
    shape: Tuple[int, ...]
    range: Tuple[float, float]

    def __post_init__(self) -> None:
        sizes = (
            self.shape
            and all(size > 0 for size in self.shape)
            and math.prod(self.shape) <= LARGEST_TENSOR
        )
        _expect(
            bool(sizes),
            f"shape is {str(self.shape)[:40]}, expected sizes above 0 and at most {LARGEST_TENSOR:,} values",
        )
        low, high = self.range
        _expect(
            -LARGEST_VALUE <= low < high <= LARGEST_VALUE,
            f"range is {low} to {high}, expected two that rise",
        )


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the model's input; `serving.photo` has both methods. `box` belongs to `mnist` alone."""

    method: str
    description: Text
    box: Optional[int] = None


@dataclass(frozen=True)
class Requirements:
    """What a file needs and offers; `operators` are NAME vVERSION, quantizations are (scale, zero point) of quantized tensors."""

    minimum_runtime_version: Optional[str]
    operators: List[str]
    weights: str
    batch: str
    input_quantization: Optional[Tuple[float, int]] = None
    output_quantization: Optional[Tuple[float, int]] = None

    def __post_init__(self) -> None:
        version = self.minimum_runtime_version
        known = not version or re.fullmatch(RUNTIME_VERSION, version)
        _expect(
            bool(known),
            f"minimum_runtime_version is {str(version)[:40]!r}, expected one such as 2.14.0 or opset 17",
        )
        for operator in self.operators:
            _expect_words(operators=operator)

    @classmethod
    def parse(cls, values: Dict[str, Any]) -> Requirements:
        """From JSON. Raises ValueError."""
        return typed_json.build(cls, values)


@dataclass(frozen=True)
class Proof:
    """What verification found for one file on one runtime, on the maker's processor. `verdict` is one of serving.gate's.

    Accuracies are fractions, times milliseconds for one image on `processor`. `images` were compared, the test set among them.
    """

    runtime: str
    runtime_version: str
    verdict: str
    images: int
    accuracy: float
    accuracy_interval: Tuple[float, float]
    accuracy_lost_bound: float
    agreement: float
    median_milliseconds: Optional[float] = None
    processor: Optional[str] = None
    arena_bytes: Optional[int] = None

    def __post_init__(self) -> None:
        _expect_words(runtime=self.runtime, runtime_version=self.runtime_version)
        _expect_verdict(self.verdict)
        _expect_counts(images=self.images)
        _expect_fractions(accuracy=self.accuracy, agreement=self.agreement)
        _expect_interval("accuracy_interval", self.accuracy_interval)
        bound = self.accuracy_lost_bound
        _expect(-1 <= bound <= 1, f"accuracy_lost_bound is {bound}, expected -1 to 1")
        _expect_amounts(median_milliseconds=self.median_milliseconds, arena_bytes=self.arena_bytes)


@dataclass(frozen=True)
class Emulated:
    """What verification found for one file on one runtime, on a processor that QEMU played.

    `golden_difference` is the largest difference of a probability of the golden vectors from the maker's processor.
    """

    processor: str
    description: str
    runtime: str
    verdict: str
    images: int
    agreement: float
    largest_difference: float
    golden_difference: Optional[float] = None

    def __post_init__(self) -> None:
        _expect_words(processor=self.processor, description=self.description, runtime=self.runtime)
        _expect_verdict(self.verdict)
        _expect_counts(images=self.images)
        _expect_fractions(agreement=self.agreement)
        _expect_amounts(
            largest_difference=self.largest_difference, golden_difference=self.golden_difference
        )


@dataclass(frozen=True)
class ModelFile:
    """One file of the bundle and the runtimes that ran it; golden vectors may differ by `golden_tolerance`."""

    format: str
    file: str
    bytes: int
    sha256: str
    golden_tolerance: float
    requirements: Requirements
    proofs: List[Proof]
    emulated: List[Emulated] = field(default_factory=list)

    def __post_init__(self) -> None:
        _expect_words(format=self.format, file=self.file)
        _expect_counts(bytes=self.bytes)
        tolerance = self.golden_tolerance
        _expect(
            0 < tolerance <= 1, f"golden_tolerance is {tolerance}, expected above 0 and at most 1"
        )
        _expect(
            bool(re.fullmatch(SHA256, self.sha256)),
            f"sha256 is {self.sha256[:40]!r}, expected 64 hexadecimal digits",
        )


@dataclass(frozen=True)
class Embedded:
    """The model without Python: `embedded/<target>` in the bundle, made from the file of `format`, and what was measured of it.

    Where the target cannot take the model, `refused` tells why in one sentence and there is no folder.
    """

    target: str
    format: str
    measured: Dict[str, Any] = field(default_factory=dict)
    refused: Optional[Text] = None


@dataclass(frozen=True)
class Histogram:
    """How many values lie below, between and above the `edges`; a value on an edge counts to the right of it."""

    edges: List[float]
    counts: List[int]

    def __post_init__(self) -> None:
        _expect(
            len(self.counts) == len(self.edges) + 1,
            f"counts are {len(self.counts)}, expected one more than the edges",
        )


@dataclass(frozen=True)
class Reference:
    """What the field is held against: the test set, as the trained model saw it. Of each class, in the order of class_names,
    `images` are in the test set, `right` of them are recognised, and `predicted` of all images are taken for it."""

    inputs: Dict[str, Histogram]  # by the names of serving.input_statistics
    confidence: Histogram  # the probability of the predicted class
    predicted: List[int]
    images: List[int]
    right: List[int]


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
    test_accuracy: float
    test_accuracy_interval: Tuple[float, float]
    test_images: int
    baseline_accuracy: float
    files: List[ModelFile]
    provenance: Dict[str, Any]
    embedded: List[Embedded] = field(default_factory=list)
    reference: Optional[Reference] = None
    not_proven: List[str] = field(
        default_factory=list
    )  # of a draft: each gate that it fails, in a sentence
    acceptance_images: int = 0  # of the acceptance set, which `serving prove` tries
    no_acceptance: Optional[str] = None  # why there is none
    card_version: int = CARD_VERSION

    def _check(self) -> None:
        """What the types do not say. Raises ValueError."""
        for name, pattern in (("name", NAME), ("version", VERSION)):
            value = getattr(self, name)
            _expect(
                bool(re.fullmatch(pattern, value)), f"{name} is {value[:40]!r}, expected {pattern}"
            )
        for class_name in self.class_names:
            _expect_words(class_names=class_name)
        for reason in self.not_proven:
            _expect_words(not_proven=reason)
        _expect_fractions(
            test_accuracy=self.test_accuracy, baseline_accuracy=self.baseline_accuracy
        )
        _expect_interval("test_accuracy_interval", self.test_accuracy_interval)
        _expect_counts(test_images=self.test_images)
        _expect_amounts(acceptance_images=self.acceptance_images)
        classes, dimensions = (len(self.class_names),), DIMENSIONS.get(self.input.type)
        _expect(
            self.output.shape == classes,
            f"output.shape is {self.output.shape}, expected {classes}, the classes",
        )
        _expect(
            dimensions is not None,
            f"input.type is {self.input.type[:40]!r}, expected {' or '.join(DIMENSIONS)}",
        )
        _expect(
            len(self.input.shape) == dimensions,
            f"input.shape has {len(self.input.shape)} sizes, expected {dimensions}",
        )
        box, side = self.preprocessing.box, self.input.shape[0]
        inside = box is None or (1 <= box <= side and self.input.shape == (side, side, 1))
        _expect(
            inside, f"preprocessing.box is {box}, expected one inside a square image of one channel"
        )

    @property
    def draft(self) -> str:
        """Of a draft, in words: that it is one, the first gate that it fails, and how many more; of any other bundle nothing."""
        if not self.not_proven:
            return ""
        first, *others = self.not_proven
        more = f", and {len(others)} more" if others else ""
        return f"a draft, NOT PROVEN ({first}{more})"

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """(H, W, C)"""
        return self.input.shape

    def dump(self) -> bytes:
        """The card as the bytes of its file."""
        return (json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> ModelCard:
        """Reads the bytes of a card. Raises BundleError."""
        try:
            if len(data) > LARGEST_BYTES:
                raise ValueError(f"it has {len(data):,} bytes, expected at most {LARGEST_BYTES:,}")
            values = typed_json.loads(data)
            version = values.get("card_version") if isinstance(values, dict) else CARD_VERSION
            if version != CARD_VERSION:
                raise ValueError(
                    f"it has version {str(version)[:40]}, this package reads version {CARD_VERSION}; install the other"
                )
            card = typed_json.build(cls, values)
            card._check()
        except ValueError as error:
            raise BundleError(
                f"{FILE} is not a model card ({error}); make the bundle again"
            ) from None
        return card
