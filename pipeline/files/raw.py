"""data/raw: a dataset as published, its inputs an array or, for photos, a table of picture files.

data/raw/{train,test}/images.npy      inputs (N, ...)
data/raw/{train,test}/pictures.csv    or the files that they are decoded from
data/raw/{train,test}/labels.npy      labels (N,)
data/raw/train/validation.npy         rows (V,) that the data themselves name for validation
data/raw/left_out.csv                 for photos: what is not used, and why
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config import params
from pipeline.files import artifacts, corrections, pictures
from pipeline.files import groups as picture_groups
from pipeline.files.artifacts import Array
from pipeline.files.corrections import Edits
from pipeline.process.errors import UserError

LEFT_OUT = artifacts.RAW / "left_out.csv"
TABLE = "pictures.csv"


def description() -> artifacts.Description:
    return artifacts.load_description(artifacts.RAW / "description.json")


def load(part: str) -> tuple[Array, Array]:
    """The inputs and labels (N,) of train or test; neither is read into memory."""
    folder = artifacts.RAW / part
    labels = artifacts.load_array(folder / "labels.npy")
    if not (folder / TABLE).exists():
        return artifacts.load_array(folder / "images.npy"), labels
    root = Path(params.load().dataset.path)
    described = description()
    height, width, channels = described.input_shape
    table = pictures.load(folder / TABLE, root, (height, width, channels), described.framing)
    return table.as_array(), labels


def save(part: str, inputs: Array, labels: Array) -> None:
    folder = artifacts.RAW / part
    if (photos := pictures.on_disk(inputs)) is not None:
        pictures.save(folder / TABLE, photos)
    else:
        artifacts.save_array(folder / "images.npy", inputs)
    artifacts.save_array(folder / "labels.npy", labels)


def validation_rows() -> Array | None:
    """The rows (V,) of the training part that the data themselves name for validation."""
    path = artifacts.RAW / "train" / "validation.npy"
    return np.asarray(artifacts.load_array(path)) if path.exists() else None


def groups(group: str | None) -> Array | None:
    """Numbers (N,) of what belongs together in the training part; None for arrays.

    Raises UserError for a `group` that the data do not have.
    """
    photos = pictures.on_disk(load("train")[0])
    if photos is None:
        if group is not None:
            raise UserError("preprocess.group is for image_folder and image_list; expected null")
        return None
    names = None if group is None else picture_groups.names(photos.rows, group)
    return picture_groups.together(photos.rows, names)


def edits(part: str) -> Edits:
    """What preprocess.corrections changes in a set, `training` or `test`. Raises UserError.

    Without a test part of their own, both sets are rows of the training part.
    """
    name = params.load().preprocess.corrections
    if name == params.NONE:
        return Edits()
    test = load("test")
    is_own = part == corrections.TEST and len(test[1]) > 0
    return corrections.load(Path(name), part, test if is_own else load("train"), description())


def rows(numbers: Array) -> tuple[Array, Array]:
    """Inputs and corrected labels of these rows of the training part; pictures stay on disk."""
    inputs, labels = load("train")
    labels = edits(corrections.TRAINING).labels(labels)
    photos = pictures.on_disk(inputs)
    return (inputs[numbers] if photos is None else photos.subset(numbers).as_array()), labels[
        numbers
    ]
