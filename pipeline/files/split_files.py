"""data/prepared: the inputs and labels of each split, as `preprocess` leaves them.

data/prepared/{train,validation,test}/labels.npy    labels (N,)
data/prepared/{train,validation,test}/images.npy    inputs (N, ...), or
data/prepared/{train,validation,test}/images.csv    which pictures they are decoded from
data/prepared/{train,test}/other.npy, other.csv     the same of pictures of none of the classes
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import params
from pipeline.files import artifacts, pictures
from pipeline.files.artifacts import PREPARED, Array
from pipeline.files.pictures import Pictures, picture_table

IMAGES, OTHERS = "images", "other"


def load_split(split: str, folder: Path = PREPARED) -> tuple[Array, Array]:
    """The inputs and labels of train, validation or test; neither is read into memory.

    Inputs are of one of the kinds in pipeline/inputs, such as images (N, H, W, C) uint8; labels are
    (N,) uint8 or int64, or float32 if they are numbers.
    """
    labels = artifacts.load_array(folder / split / "labels.npy")
    return _load(folder / split / IMAGES), labels


def load_others(split: str) -> Array | None:
    """The pictures of none of the classes (N, H, W, C) of train or test; None without any."""
    stem = PREPARED / split / OTHERS
    return _load(stem) if any(PREPARED.glob(f"{split}/{OTHERS}.*")) else None


def _load(stem: Path) -> Array:
    table = stem.with_suffix(".csv")
    if not table.exists():
        return artifacts.load_array(stem.with_suffix(".npy"))
    dataset, described = params.load().dataset, artifacts.load_description()
    root = Path(dataset.other if stem.name == OTHERS else dataset.path)
    height, width, channels = described.input_shape
    shape = height, width, channels
    return Pictures(root, picture_table.load(table), shape, described.framing).as_array()


def digests(*splits: str) -> list[str]:
    """What the files of these splits hold: two trainings with equal ones have the same data."""
    paths = sorted(path for split in splits for path in (PREPARED / split).iterdir())
    return [_digest(path) for path in paths]


def _digest(path: Path) -> str:
    photos = pictures.on_disk(_load(path.with_suffix(""))) if path.suffix == ".csv" else None
    return artifacts.sha256(path) if photos is None else photos.sha256()
