"""The contract between the export and every device: what the files of a bundle are and what was proven of them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from serving.errors import BundleError

FILE = "model_card.json"
CARD_VERSION = 2  # grows when a device with an older `serving` could misread the card


@dataclass(frozen=True)
class Tensor:
    """An input or output; `shape` leaves the batch out. Both are the same in every file of the bundle."""

    name: str
    type: str
    shape: Tuple[int, ...]
    range: Tuple[float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the model's input; `serving.photo` has both methods. `box` belongs to `mnist` alone."""

    method: str
    description: str
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

    @classmethod
    def parse(cls, values: Dict[str, Any]) -> Requirements:
        return cls(**_tuples(values))


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


@dataclass(frozen=True)
class Embedded:
    """The model without Python: `embedded/<target>` in the bundle, made from the file of `format`, and what was measured of it.

    Where the target cannot take the model, `refused` tells why in one sentence and there is no folder.
    """

    target: str
    format: str
    measured: Dict[str, Any] = field(default_factory=dict)
    refused: Optional[str] = None


@dataclass(frozen=True)
class Histogram:
    """How many values lie below, between and above the `edges`; a value on an edge counts to the right of it."""

    edges: List[float]
    counts: List[int]


@dataclass(frozen=True)
class Reference:
    """What the field is held against: the test set, as the trained model saw it. Of each class, in the order of class_names,
    `images` are in the test set, `right` of them are recognised, and `predicted` of all images are taken for it."""

    inputs: Dict[str, Histogram]  # by the names of serving.input_statistics
    confidence: Histogram  # the probability of the predicted class
    predicted: List[int]
    images: List[int]
    right: List[int]

    @classmethod
    def parse(cls, values: Dict[str, Any]) -> Reference:
        inputs = {name: Histogram(**histogram) for name, histogram in values["inputs"].items()}
        return cls(**{**values, "inputs": inputs, "confidence": Histogram(**values["confidence"])})


@dataclass(frozen=True)
class ModelCard:
    name: str
    version: str
    statement: str
    use: str
    limits: List[str]
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
    not_proven: List[str] = field(default_factory=list)  # of a draft: each gate that it fails, in a sentence
    acceptance_images: int = 0  # of the acceptance set, which `serving prove` tries
    no_acceptance: Optional[str] = None  # why there is none
    card_version: int = CARD_VERSION

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
            values = json.loads(data)
            if values["card_version"] != CARD_VERSION:
                raise ValueError(f"it has version {values['card_version']}, this package reads version {CARD_VERSION}; install the other")
            return cls(
                **{
                    **_tuples(values),
                    "input": Tensor(**_tuples(values["input"])),
                    "output": Tensor(**_tuples(values["output"])),
                    "preprocessing": Preprocessing(**values["preprocessing"]),
                    "files": [_file(entry) for entry in values["files"]],
                    "embedded": [Embedded(**entry) for entry in values.get("embedded", [])],
                    "reference": Reference.parse(values["reference"]) if values.get("reference") else None,
                }
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BundleError(f"{FILE} is not a model card ({error}); make the bundle again") from None


def _file(values: Dict[str, Any]) -> ModelFile:
    return ModelFile(
        **{
            **values,
            "requirements": Requirements.parse(values["requirements"]),
            "proofs": [Proof(**_tuples(proof)) for proof in values["proofs"]],
            "emulated": [Emulated(**entry) for entry in values.get("emulated", [])],
        }
    )


def _tuples(values: Dict[str, Any]) -> Dict[str, Any]:
    """JSON knows no tuples."""
    names = ("shape", "range", "test_accuracy_interval", "accuracy_interval", "input_quantization", "output_quantization")
    return {name: tuple(value) if name in names and value is not None else value for name, value in values.items()}
