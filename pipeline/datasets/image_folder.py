"""Your own pictures: a folder for each class, or train/ and test/ with such folders.

Files are PNG or JPEG of any size and mode.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving import photo

SUFFIXES = {".png", ".jpg", ".jpeg"}
UNREADABLE = (  # Pillow raises these on damaged files
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def load(params: Dataset) -> Raw:
    root = Path(params.path)
    if not root.is_dir():
        raise UserError(
            f"dataset.path {root} is not a folder; name one that holds a folder for each class"
        )
    has_parts = _has_parts(root)
    train_root = root / "train" if has_parts else root
    class_names = folders(train_root)
    if len(class_names) < 2:
        raise UserError(f"{train_root} has {len(class_names)} class folders; expected at least 2")
    train_images, train_labels, unreadable = read(train_root, class_names, params)
    for label, name in enumerate(class_names):
        if label not in train_labels:
            raise UserError(
                f"{train_root / name} holds no readable image; expected files that end in "
                f"{', '.join(sorted(SUFFIXES))}"
            )
    test_images, test_labels = train_images[:0], train_labels[:0]
    if has_parts and (root / "test").is_dir():
        test_images, test_labels, more = read(root / "test", class_names, params)
        unreadable += more
    return Raw(train_images, train_labels, test_images, test_labels, class_names, unreadable)


def _has_parts(root: Path) -> bool:
    """Whether `train` is a part of the data, and not a class of that name."""
    names = folders(root)
    return "train" in names and bool(folders(root / "train") or set(names) <= {"train", "test"})


def folders(root: Path) -> list[str]:
    """The sorted names of the folders in `root`, without hidden ones."""
    return sorted(
        path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def read(root: Path, class_names: list[str], params: Dataset) -> tuple[Array, Array, list[str]]:
    """Images (N, height, width, channels), labels (N,) and the unreadable files.

    They are in the order of class and file name.
    """
    unknown = [name for name in folders(root) if name not in class_names]
    if unknown:
        raise UserError(
            f"{root / unknown[0]} is not a class of the training part; "
            f"expected {', '.join(class_names)}"
        )
    files = [
        (path, label)
        for label, name in enumerate(class_names)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    images = np.empty((len(files), params.height, params.width, params.channels), np.uint8)
    labels = np.empty(len(files), np.int64)
    unreadable, count = [], 0
    for path, label in track(files, f"reading {root}", transient=True):
        try:
            images[count] = picture(path, params)
        except UNREADABLE:
            unreadable.append(str(path.relative_to(root.parent)))
            continue
        labels[count] = label
        count += 1
    return images[:count], labels[:count], unreadable


def picture(path: Path, params: Dataset) -> Array:
    """One image as (height, width, channels) uint8, read by the same code as on a device.

    It is rotated by its EXIF orientation, put on white where transparent, and 16-bit grey is scaled
    to 8 bits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            image = photo.upright(opened, "L" if params.channels == 1 else "RGB")
            image = image.resize((params.width, params.height), Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8).reshape(params.height, params.width, params.channels)
