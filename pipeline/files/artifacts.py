"""Every file that one stage passes to another: its path, and how it is saved and loaded."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.files.atomic import replacing

Array = NDArray[Any]

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
DESCRIPTION = PREPARED / "description.json"
MODEL = Path("model/model.keras")
LEARNING_CURVES = Path("reports/learning_curves.csv")
BASELINE_PREDICTIONS = Path("evaluation/baseline_predictions.npy")
TEST_PROBABILITIES = Path("evaluation/test_probabilities.npy")
VALIDATION = Path("evaluation/validation.npz")
EXPORTED = Path("exported")
EMBEDDED = Path("embedded")
GOLDEN = Path("evaluation/golden.npz")
REPORTS = Path("reports")
FOLDS = REPORTS / "folds.json"
DIST = Path("dist")
DRAFT = Path("draft")
STATE = Path(".state")

# A chunk has at most this many rows and bytes, so that a dataset may be larger than memory. Rows of
# MNIST have 784 bytes, so its chunks have 4,096 rows.
CHUNK, CHUNK_BYTES = 4096, 2**24


class Rows(Protocol):
    """An array, or what can be indexed like one along its first axis."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class Inputs:
    """What a model takes; `kind` is a module of pipeline/inputs.

    Ids count from 1 to `highest` and are zero-padded.
    """

    shape: tuple[int, ...]
    kind: str = "pixels"
    highest: int = 255


@dataclass(frozen=True)
class Description:
    """What the stages know about a dataset besides its arrays."""

    name: str
    class_names: list[str]
    input_shape: tuple[int, ...]
    sha256: dict[str, str]
    unreadable: list[str]
    kind: str = "pixels"  # a module of pipeline/inputs
    highest: int = 255
    # Of the values, as the model card says it; set by `preprocess`, which knows the training set.
    range: tuple[float, float] = (0, 255)
    vocabulary: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    # Why the data must not be redistributed in a bundle; None: they may be.
    not_passed_on: str | None = None
    target: str = "classes"  # a module of pipeline/targets
    unit: str | None = None  # of a number; set by `preprocess` from params.yaml
    # How a photo becomes an input: one of framing.FRAMINGS, or the fractions of a region
    framing: str | list[float] = "resize"
    group: str | None = None  # the column that preprocess.group is by default
    sound: dict[str, int] | None = None  # the parameters of `serving.log_mel`
    series: dict[str, Any] | None = None  # those of `serving.recording.Sampling`

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.input_shape, self.kind, self.highest)


def metrics(stage: str) -> Path:
    """The figures of a stage that `dvc metrics` compares between experiments."""
    return REPORTS / "metrics" / f"{stage}.json"


def save_json(path: Path, values: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def save_description(path: Path, description: Description) -> None:
    values = dict(description.__dict__)
    for name in ("unit", "group", "sound", "series"):
        if values[name] is None:
            del values[name]
    save_json(path, values)


def load_description(path: Path = DESCRIPTION) -> Description:
    return parse_description(path.read_text(encoding="utf-8"))


def parse_description(text: str | bytes) -> Description:
    values = json.loads(text)
    tuples = {name: tuple(values[name]) for name in ("input_shape", "range")}
    return Description(**{**values, **tuples})


def save_array(path: Path, array: Array) -> None:
    save_rows(path, array, np.arange(len(array)))


def load_array(path: Path) -> Array:
    """The array in `path`, memory-mapped and read-only."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def save_rows(path: Path, source: Rows, rows: Array) -> None:
    """Writes `source[rows]`, a chunk at a time.

    It does not write through a memory map: a full disk would then kill the process with SIGBUS.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header(source, len(rows)))
        for start, stop in chunks(len(rows), chunk_rows(source)):
            file.write(source[rows[start:stop]].tobytes())


def header(source: Rows, length: int) -> bytes:
    """The header of an npy file of `length` rows like those of `source`."""
    facts = {
        "descr": np.lib.format.dtype_to_descr(source.dtype),
        "fortran_order": False,
        "shape": (length, *source.shape[1:]),
    }
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, facts)
    return file.getvalue()


def chunks(length: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, size):
        yield start, min(start + size, length)


def chunks_of(array: Rows, most: int = CHUNK) -> Iterator[tuple[int, int]]:
    """Where to start and stop so that each chunk has at most CHUNK_BYTES and `most` rows."""
    return chunks(len(array), min(chunk_rows(array), most))


def chunk_rows(array: Rows) -> int:
    """How many rows of an array are processed at a time."""
    return max(1, min(CHUNK, CHUNK_BYTES // max(row_bytes(array), 1)))


def row_bytes(array: Rows) -> int:
    return array.dtype.itemsize * math.prod(array.shape[1:])


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(array: Array) -> str:
    """SHA-256 of the raw bytes of `array` in C order."""
    digest = hashlib.sha256()
    for start, stop in chunks_of(array):
        digest.update(np.ascontiguousarray(array[start:stop]).tobytes())
    return digest.hexdigest()


def empty(folder: Path) -> Path:
    """Deletes what `folder` holds, and returns it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def save_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
