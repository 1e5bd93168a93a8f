"""Pictures that are none of the classes, from `dataset.other`.

An npz file holds them as x_train, and optionally x_test. In a folder or zip file all pictures are
meant, whatever folder they lie in; a folder `test` beside `train` holds those of the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.datasets.reading import file_tree, part_folders, photo_list
from pipeline.datasets.reading.photo_list import Candidate
from pipeline.files import pictures
from pipeline.files.artifacts import Array
from pipeline.files.pictures import Pictures
from pipeline.files.pictures.picture_file import Framing, Shape
from pipeline.files.pictures.picture_table import Picture, Table
from pipeline.process.errors import UserError

TRAIN, TEST = "train", "test"
FEWEST = 2  # one to learn from, and one to judge by


def load(path: Path, shape: tuple[int, ...], framing: Framing) -> dict[str, Array]:
    """Images (N, H, W, C) uint8 of `shape` for training, and for the test if it has its own.

    Raises UserError.
    """
    if path.suffix.lower() == ".npz":
        return _arrays(path, shape)
    height, width, channels = shape
    return _photographs(path, (height, width, channels), framing)


def _arrays(path: Path, shape: tuple[int, ...]) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [key for key in ("x_train", "x_test") if key in file.files]
            arrays = {key: np.asarray(file[key]) for key in names}
    except Exception as error:  # NumPy and zipfile raise anything on a damaged file
        reason = str(error) or type(error).__name__
        raise UserError(f"dataset.other {path} is not a readable npz file ({reason})") from None
    if "x_train" not in arrays:
        raise UserError(f"dataset.other {path} has no array x_train; expected pictures in it")
    return {key.removeprefix("x_"): _images(path, key, arrays[key], shape) for key in arrays}


def _images(path: Path, key: str, array: Array, shape: tuple[int, ...]) -> Array:
    images = array[..., None] if array.ndim == len(shape) else array
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise UserError(
            f"dataset.other {path}: {key} is {array.dtype} of shape {array.shape}; expected uint8 "
            f"of shape {('N', *shape)}, as the pictures of the classes are"
        )
    return images


def _photographs(path: Path, shape: Shape, framing: Framing) -> dict[str, Array]:
    tree = file_tree.read(path, "dataset.other")
    test = part_folders.parts(tree).get(TEST)
    candidates = [
        Candidate(file, "other", TEST if test and file.startswith(test) else TRAIN)
        for file in tree.files
    ]
    parts = list[str]()
    unreadable: dict[str, str] = {}

    def readable() -> Iterator[Picture]:
        for candidate, result in photo_list.inspected(pictures.source(path), candidates):
            if isinstance(result, str):
                unreadable[candidate.file] = result
            else:
                parts.append(candidate.part)
                yield result[0]

    table = Table.of(readable(), len(candidates))
    if left_out := {**tree.left_out, **unreadable}:
        name, reason = min(left_out.items())
        print(f"dataset.other: left out {len(left_out):,}, such as {name}: it {reason}")
    if TRAIN not in parts or len(parts) < FEWEST:
        raise UserError(
            f"dataset.other {path} holds too few readable pictures; expected at least one for "
            "training and one for the test"
        )
    rows = {part: np.flatnonzero(np.array(parts) == part) for part in (TRAIN, TEST)}
    return {
        part: Pictures(path, table, shape, framing, numbers).as_array()
        for part, numbers in rows.items()
        if len(numbers)
    }
