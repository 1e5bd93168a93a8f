"""data/raw: a dataset as published, its inputs an array or, for photos, a table of picture files.

data/raw/{train,test}/images.npy      inputs (N, ...)
data/raw/{train,test}/pictures.csv    or the files that they are decoded from
data/raw/{train,test}/labels.npy      labels (N,)
data/raw/{train,test}/columns.json    for arrays: what else is known of each input, by name
data/raw/train/validation.npy         rows (V,) that the data themselves name for validation
data/raw/left_out.csv                 for photos: what is not used, and why
data/raw/other/{train,test}/          pictures that are none of the classes, as inputs above
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.config import params
from pipeline.files import artifacts, corrections, pictures
from pipeline.files import groups as example_groups
from pipeline.files.artifacts import Array
from pipeline.files.corrections import Edits
from pipeline.files.pictures import Pictures, picture_table
from pipeline.process.errors import UserError

LEFT_OUT = artifacts.RAW / "left_out.csv"
OTHERS = "other"
TABLE, COLUMNS = "pictures.csv", "columns.json"
FILE = "file"  # the column of the files that inputs were made from, if there are any
RECORDING = "recording"  # that of what windows were cut from, which is never in two splits


def description() -> artifacts.Description:
    return artifacts.load_description(artifacts.RAW / "description.json")


def load(part: str) -> tuple[Array, Array]:
    """The inputs and labels (N,) of train or test; neither is read into memory."""
    labels = artifacts.load_array(artifacts.RAW / part / "labels.npy")
    return _inputs(part, Path(params.load().dataset.path)), labels


def others() -> dict[str, Array]:
    """Pictures of none of the classes: nothing, or `train`, and `test` if they came in parts."""
    root = Path(params.load().dataset.other)
    parts = ("train", "test") if (artifacts.RAW / OTHERS).exists() else ()
    folders = {part: f"{OTHERS}/{part}" for part in parts}
    return {
        part: _inputs(folder, root)
        for part, folder in folders.items()
        if (artifacts.RAW / folder).exists()
    }


def _inputs(part: str, root: Path) -> Array:
    folder = artifacts.RAW / part
    if not (folder / TABLE).exists():
        return artifacts.load_array(folder / "images.npy")
    described = description()
    height, width, channels = described.input_shape
    table = picture_table.load(folder / TABLE)
    return Pictures(root, table, (height, width, channels), described.framing).as_array()


def save(part: str, inputs: Array, labels: Array, columns: Mapping[str, list[str]]) -> None:
    folder = artifacts.RAW / part
    save_inputs(part, inputs)
    artifacts.save_array(folder / "labels.npy", labels)
    if columns:
        artifacts.save_json(folder / COLUMNS, columns)


def save_inputs(part: str, inputs: Array) -> None:
    folder = artifacts.RAW / part
    if (photos := pictures.on_disk(inputs)) is not None:
        picture_table.save(folder / TABLE, photos.rows)
    else:
        artifacts.save_array(folder / "images.npy", inputs)


def validation_rows() -> Array | None:
    """The rows (V,) of the training part that the data themselves name for validation."""
    path = artifacts.RAW / "train" / "validation.npy"
    return np.asarray(artifacts.load_array(path)) if path.exists() else None


def group_names(part: str, group: str | None) -> list[str] | None:
    """The name of the group of each example of a part, empty without one; None without groups.

    Without a `group` it is the one that the data themselves name, such as the speakers of sounds.
    Raises UserError for a `group` that the data do not have.
    """
    group = group or description().group
    if group is None:
        return None
    inputs, labels = load(part)
    if (photos := pictures.on_disk(inputs)) is not None:
        return example_groups.names(photos.rows, group)
    columns = _columns(part)
    if FILE in columns:
        others = {name: column for name, column in columns.items() if name != FILE}
        return example_groups.of_files(columns[FILE], others, group)
    if group not in columns and len(labels):
        raise UserError(
            f"preprocess.group is {group!r}, and the {part} part has "
            f"{'the groups ' + ', '.join(columns) if columns else 'no groups'}; expected null, or "
            f"an npz file with an array {group}_{part} (N,) that names the group of each example"
        )
    return columns.get(group, [])


def _columns(part: str) -> dict[str, list[str]]:
    path = artifacts.RAW / part / COLUMNS
    columns: dict[str, list[str]] = artifacts.load_json(path) if path.exists() else {}
    return columns


def groups(group: str | None) -> Array | None:
    """Numbers (N,) of what belongs together in the training part; None if nothing does.

    Raises UserError for a `group` that the data do not have.
    """
    names = group_names("train", group)
    if (photos := pictures.on_disk(load("train")[0])) is not None:
        return example_groups.together(photos.rows, names)
    if names is None:
        return None
    recordings = _columns("train").get(RECORDING)
    if recordings is None:
        return example_groups.of_names(names)
    return example_groups.connected(names, recordings)


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
