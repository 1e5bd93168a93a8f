"""The contract between the export and every device: what the files of a bundle are and what was proven of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.errors import BundleError

FILE = "model_card.json"


@dataclass(frozen=True)
class Proof:
    """What verification found for one file on one runtime. Accuracies are fractions, times milliseconds for one image."""

    runtime: str
    runtime_version: str
    images: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    accuracy_lost_bound: float
    agreement: float
    median_milliseconds: float | None
    processor: str | None
    arena_bytes: int | None = None


@dataclass(frozen=True)
class ModelFile:
    """One file of the bundle and the runtimes on which it passed."""

    format: str
    file: str
    bytes: int
    sha256: str
    minimum_runtime_version: str | None
    proofs: list[Proof]


@dataclass(frozen=True)
class ModelCard:
    name: str
    version: str
    statement: str
    class_names: list[str]
    input_shape: tuple[int, int, int]
    input_range: tuple[int, int]
    test_accuracy: float
    test_accuracy_interval: tuple[float, float]
    files: list[ModelFile]
    provenance: dict[str, str]

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ModelCard:
        """Reads the card of the bundle in `folder`. Raises BundleError."""
        try:
            return cls.parse(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except OSError as error:
            raise BundleError(f"{folder / FILE} is not readable ({error.strerror}); name the folder of an unpacked bundle") from None
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"{folder / FILE} is not a model card ({error})") from None

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ModelCard:
        files = [ModelFile(**{**entry, "proofs": [Proof(**_tuples(proof)) for proof in entry["proofs"]]}) for entry in values["files"]]
        return cls(**_tuples({**values, "files": files}))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    names = ("input_shape", "input_range", "test_accuracy_interval", "accuracy_interval")
    return {name: tuple(value) if name in names else value for name, value in values.items()}


def verified(folder: Path, file: ModelFile) -> bytes:
    """The bytes of `file`, after its size and SHA-256 were checked and before any parser sees them. Raises BundleError."""
    path = folder / file.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} is not readable ({error.strerror}); unpack the bundle again") from None
    if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise BundleError(f"{path} is not the file that was proven (its size or SHA-256 differs); unpack the bundle again")
    return data
