"""Shared by the two CIFAR datasets: the publisher's binary files, and small exact subsets."""

from __future__ import annotations

import io

import numpy as np

from pipeline.datasets import Raw
from pipeline.datasets.reading import published
from pipeline.files.artifacts import Array
from pipeline.files.fetch import SourceError

SHAPE = (3, 32, 32)  # a row's pixels: red, green, blue


def rows(data: bytes, label_bytes: int) -> tuple[Array, Array]:
    """Images (N, 32, 32, 3) and labels (N,); a row's label is the last of its `label_bytes`.

    The format is the binary version at https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    width = label_bytes + int(np.prod(SHAPE))
    if not data or len(data) % width:
        raise SourceError(f"holds {len(data)} bytes; expected a multiple of {width}")
    table = np.frombuffer(data, np.uint8).reshape(-1, width)
    images = table[:, label_bytes:].reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
    return images, table[:, label_bytes - 1]


def archive(data: bytes, train: list[str], test: str, names: str, label_bytes: int) -> Raw:
    """The publisher's tar.gz; `train`, `test` and `names` are files in it."""
    files = {path.rsplit("/", 1)[-1]: content for path, content in published.members(data)}
    try:
        x_train, y_train = rows(b"".join(files[name] for name in train), label_bytes)
        x_test, y_test = rows(files[test], label_bytes)
        class_names = files[names].decode().split()
    except KeyError as error:
        raise SourceError(f"the archive has no file {error.args[0]}") from None
    return Raw(
        np.ascontiguousarray(x_train), y_train, np.ascontiguousarray(x_test), y_test, class_names
    )


def part(data: bytes) -> Raw:
    """An npz with x_train, y_train, x_test, y_test and classes."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        classes = [name.decode() for name in file["classes"]]
        return Raw(file["x_train"], file["y_train"], file["x_test"], file["y_test"], classes)
