"""Your own pictures: a folder for each class, or parts of the data with such folders.

`dataset.path` is a folder or a zip file. Its parts are train, validation and test in their usual
spellings, such as Training or val. Files are pictures of any size and mode, in the formats that
`serving predict` reads. They are decoded where they lie, and nothing is copied.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, _class_folders, _photos, _tree
from pipeline.datasets._photos import Listed

PHOTOS = True  # files of any size, which dataset.framing makes inputs of


def load(params: Dataset) -> Raw:
    return _photos.dataset(params, *listed(params))


def listed(params: Dataset) -> Listed:
    """What there is to read: no picture is opened. Raises UserError."""
    root = Path(params.path)
    return _class_folders.listed(root, _tree.read(root))
