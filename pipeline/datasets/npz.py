"""Your own arrays: an npz file with x_train and y_train, and x_test and y_test where there is a test part.

Images, or ids (N, L) int32 from 1 on, zero-padded; `vocabulary` may name them.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

CHANNELS = (1, 3)  # grey or colour: what the pictures are that a device is shown


def load(params: Dataset) -> Raw:
    path = Path(params.path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise UserError(f"dataset.path {path} does not exist; name an npz file") from None
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = (
            "it holds Python objects, or is no npz" if "allow_pickle" in str(error) else error
        )  # NumPy advises to trust it
        raise UserError(
            f"dataset.path {path} is not a readable npz file of arrays ({reason})"
        ) from None
    for key in ("x_train", "y_train"):
        if key not in arrays:
            raise UserError(
                f"{path} has no array {key}; it needs x_train and y_train, and may have x_test and y_test"
            )
    train = _images(path, "x_train", arrays["x_train"])
    test = _images(path, "x_test", arrays.get("x_test", arrays["x_train"][:0]))
    if (test.dtype, test.shape[1:]) != (train.dtype, train.shape[1:]):
        shapes = f"x_test is {test.dtype} of shape {test.shape} and x_train {train.dtype} of shape {train.shape}"
        raise UserError(
            f"{path}: {shapes}; allowed is one shape and type for both, but for the count N"
        )
    train_labels = _labels(path, "y_train", arrays["y_train"])
    test_labels = _labels(path, "y_test", arrays.get("y_test", arrays["y_train"][:0]))
    names = _class_names(path, arrays, train_labels, test_labels)
    if train.dtype == np.uint8:
        return Raw(train, train_labels, test, test_labels, names)
    highest = int(max(train.max(initial=1), test.max(initial=1)))
    vocabulary = [str(word) for word in arrays.get("vocabulary", np.arange(1, highest + 1))]
    if len(vocabulary) < highest or min(train.min(initial=0), test.min(initial=0)) < 0:
        raise UserError(
            f"{path} has ids up to {highest} and a vocabulary of {len(vocabulary)}; allowed are ids from 0 to its length"
        )
    return Raw(
        train,
        train_labels,
        test,
        test_labels,
        names,
        highest=len(vocabulary),
        vocabulary=vocabulary,
    )


def _images(path: Path, key: str, images: Array) -> Array:
    if images.dtype == np.int32 and images.ndim == 2:
        return images
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        allowed = "uint8 of shape (N, H, W) or (N, H, W, C), and int32 of shape (N, L) for ids"
        raise UserError(
            f"{path}: {key} is {images.dtype} of shape {images.shape}; allowed is {allowed}"
        )
    if images.ndim == 4 and images.shape[3] not in CHANNELS:
        raise UserError(
            f"{path}: {key} has {images.shape[3]} channels; allowed are {' or '.join(map(str, CHANNELS))}"
        )
    return images if images.ndim == 4 else images[..., None]


def _labels(path: Path, key: str, labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path}: {key} is {labels.dtype} of shape {labels.shape}; allowed is integers of shape (N,)"
        )
    return labels.astype(np.int64)


def _class_names(path: Path, arrays: dict[str, Array], *labels: Array) -> list[str]:
    """`class_names`, or the labels themselves, of which there can be no more than examples."""
    if "class_names" in arrays:
        names = [str(name) for name in arrays["class_names"].ravel()]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise UserError(
                f"{path}: class_names has {repeated[0]!r} more than once; allowed are names that differ"
            )
        return names
    highest, examples = max(int(part.max(initial=0)) for part in labels), sum(map(len, labels))
    if highest >= max(examples, 1):
        raise UserError(
            f"{path} has labels up to {highest} and {examples} examples; allowed are labels that count the classes from 0 on"
        )
    return [str(label) for label in range(highest + 1)]
