"""Your own pictures: a folder for each class, or parts of the data with such folders.

`dataset.path` is a folder or a zip file. Its parts are train, validation and test in their usual
spellings, such as Training or val. A folder that `dataset.other` names is not a class. Files are
pictures of any size and mode, in the formats that `serving predict` reads. They are decoded where
they lie, and nothing is copied.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.datasets.reading import class_folders, doubtful_names, file_tree, photo_list
from pipeline.datasets.reading.photo_list import Listed

PHOTOS = True  # files of any size, which dataset.framing makes inputs of


def load(params: Dataset) -> Raw:
    return photo_list.dataset(params, listed(params))


def listed(params: Dataset) -> Listed:
    """What there is to read: no picture is opened. Raises UserError."""
    root, other = Path(params.path).resolve(), Path(params.other).resolve()
    tree = file_tree.read(Path(params.path))
    if other.is_relative_to(root):  # none of the classes, though among them
        folder = f"{other.relative_to(root).as_posix()}/"
        tree.files = [file for file in tree.files if not file.startswith(folder)]
        tree.folders = {name for name in tree.folders if not name.startswith(folder)}
    result = class_folders.listed(Path(params.path), tree)
    doubtful_names.print_odd_folders(Path(params.path), tree)
    return result
