"""Images: raw pixels (N, H, W, C) uint8, 0 to 255, in grey (C = 1) or colour (C = 3)."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import artifacts
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.preprocess import Evidence
from pipeline.inputs import Drawing, Predict, Sheet, _integers, _sheet, _split_checks

NOUN = "images"
ARRAYS = "uint8 of shape (N, H, W) or (N, H, W, C) for images"
CHANNELS: tuple[int, ...] = (1, 3)  # grey or colour, as the clients on a device send pictures
BASELINES = {
    "rmse": "nearest class mean (RMSE)",
    "mae": "nearest class mean (MAE)",
}
VOCABULARY = False
AUGMENTATION = True
IMAGES = True
AXES = False
CONVOLUTIONS = "edge"
EMBEDDED = True
PICTURED = True
SHOWN = 30
CLASSES = 100
BEFORE_CONFIDENCE = "\n"
VALUES = "raw pixels"
PREPARED = "How a photo becomes the input"
COMPANIONS = "golden_photos"
EXAMPLES = (
    " `photos/` contains examples with the exact pixels each one becomes, "
    "to test preprocessing code in other languages."
)
EXAMPLE = "picture.png"

THUMBNAIL = 160  # pixels, the longest side of a picture on a page
COUNTED = 2**20  # pixels at a time; NumPy makes eight bytes of each
PART_BYTES = 2**24  # of blocks that are in memory at a time
GRID = 14  # noise and compression hardly change the means of GRID x GRID blocks, which are compared

# How a photo becomes the input, by dataset; for all others by dataset.framing. LeCun, Cortes and
# Burges describe how MNIST was made: each digit was fitted into a 20 x 20 box with its aspect ratio
# kept, and its centre of mass was placed at the centre of the 28 x 28 image.
PREPROCESSING: dict[str, dict[str, Any]] = {
    "mnist": {
        "method": "mnist",
        "box": 20,
        "description": (
            "the background is removed (top-hat) and the ink becomes light on black, whether it "
            "was darker or lighter than the paper; the drawing is cropped, fitted into a 20 x 20 "
            "box with its aspect ratio kept, and centred by its centre of mass"
        ),
    },
}
FRAMINGS = {
    "resize": "resized to {size}",
    "letterbox": "resized to the largest size of its own aspect ratio that fits into the model's "
    "height and width, with a Lanczos filter, and centred between black margins",
    "centre_crop": "cropped around its middle to the model's aspect ratio, and resized to {size}",
    "region": "cropped to the region from {0} to {2} of its width and from {1} to {3} of its "
    "height, and resized to {size}",
}
SIZE = "the model's height and width with a Lanczos filter"


def value_range(train: Array, description: Description) -> tuple[float, float]:
    return 0, 255


def report(images: Array, description: Description) -> dict[str, Any]:
    counts, empty = np.zeros(256, np.int64), 0
    rows = max(1, COUNTED // artifacts.row_bytes(images))
    for start, stop in artifacts.chunks(len(images), rows):
        chunk = np.asarray(images[start:stop]).reshape(stop - start, -1)
        counts += np.bincount(chunk.ravel(), minlength=256)
        empty += int((chunk.min(1) == chunk.max(1)).sum())
    values, pixels = np.arange(256), math.prod(images.shape)
    mean = int(counts @ values) / pixels
    present = np.flatnonzero(counts)
    return {
        "pixel_mean": mean,
        "pixel_standard_deviation": max(int(counts @ values**2) / pixels - mean**2, 0.0) ** 0.5,
        "pixel_minimum": int(present[0]),
        "pixel_maximum": int(present[-1]),
        "empty": empty,
    }


def evidence(train: Array, validation: Array) -> Evidence:
    """Near copies count too: the means of blocks are compared."""
    train_rows, rows, balanced_rows = _split_checks.queries(len(train), len(validation))
    validation_features = features(validation, rows)
    with ThreadPoolExecutor() as pool:
        copied = pool.submit(
            lambda: _split_checks.copied(
                parts(train), features(train, train_rows)[0], train_rows, validation_features[0]
            )
        )
        told_apart = pool.submit(
            lambda: _split_checks.told_apart(features(train, balanced_rows), validation_features)
        )
        return Evidence(len(train), len(validation), *copied.result(), *told_apart.result())


def features(images: Array, rows: Array) -> _split_checks.Features:
    """Blocks and roughness of these rows, read a chunk at a time."""
    size = artifacts.chunk_rows(images)
    chunks = (np.asarray(images[rows[at : at + size]]) for at in range(0, len(rows), size))
    pairs = [(blocks(chunk), roughness(chunk)) for chunk in chunks]
    blocked, rough = zip(*pairs, strict=True)
    return np.concatenate(blocked), np.concatenate(rough)


def parts(images: Array) -> Iterator[Array]:
    """The blocks of all images, PART_BYTES at a time."""
    size = max(1, PART_BYTES // blocks(images[:1]).nbytes)
    for start, stop in artifacts.chunks(len(images), size):
        yield blocks(images, range(start, stop))


def blocks(images: Array, rows: range | None = None) -> Array:
    """The means of at most GRID x GRID blocks of each image -> (N, D) float32, 0 to 1.

    `rows` are some in succession; by default all.
    """
    rows = range(len(images)) if rows is None else rows
    height, width = (max(size // GRID, 1) for size in images.shape[1:3])
    down, across = images.shape[1] // height, images.shape[2] // width
    means = []
    for start, stop in artifacts.chunks(len(rows), artifacts.chunk_rows(images)):
        some = np.asarray(images[rows[start] : rows[start] + stop - start])
        part = some[:, : down * height, : across * width]
        sums = np.zeros((len(part), down, across, part.shape[3]), np.uint32)
        for y, x in np.ndindex(height, width):  # some times as fast as a sum over two axes
            sums += part[:, y::height, x::width]
        means.append(sums.reshape(len(part), -1).astype(np.float32) / (255 * height * width))
    return np.concatenate(means)


def regressors(images: Array, description: Description) -> Array:
    """The means of blocks."""
    return blocks(images)


def roughness(images: Array) -> Array:
    """The mean difference of neighbouring pixels (N,), which noise raises and blur lowers."""
    steps: Array = np.abs(np.diff(images.astype(np.int16), axis=2)).mean((1, 2, 3))
    return steps


def baseline(
    train: Array, labels: Array, description: Description, pictures: Drawing, path: Path
) -> Predict:
    """The nearest class mean, by RMSE and by MAE; the picture shows the mean images."""
    means = class_means(train, labels, len(description.class_names))
    shown = _sheet.spread(len(means), CLASSES)
    names = pictures.shown_names(description.class_names)
    pictures.images(
        path,
        means[shown],
        [names[label] for label in shown],
        title=_sheet.title("Mean image of each class", len(shown), len(means)),
    )
    return lambda images: nearest(images, means)


def class_means(images: Array, labels: Array, num_classes: int) -> Array:
    """The mean image of each class: (K, H, W, C) float64, 0 to 255."""
    sums = np.zeros((num_classes, images[0].size))
    for start, stop in artifacts.chunks_of(images):
        membership = np.eye(num_classes, dtype=np.float32)[labels[start:stop]]
        sums += membership.T @ images[start:stop].reshape(stop - start, -1).astype(np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    return (sums / counts[:, None]).reshape(num_classes, *images.shape[1:])


def nearest(images: Array, means: Array) -> dict[str, Array]:
    """For each image (N, H, W, C) the class (N,) whose mean is nearest, by RMSE and by MAE."""
    flat = means.reshape(len(means), -1).astype(np.float32)
    predictions: dict[str, list[Array]] = {"rmse": [], "mae": []}
    for start, stop in artifacts.chunks_of(images, 256):
        pixels = np.asarray(images[start:stop]).reshape(stop - start, -1).astype(np.float32)
        distances = np.empty((2, len(flat), len(pixels)), np.float32)
        for label, mean in enumerate(flat):
            difference = pixels - mean
            distances[0, label] = np.einsum("ij,ij->i", difference, difference)
            distances[1, label] = np.abs(difference, out=difference).sum(1)
        for name, distance in zip(predictions, distances, strict=True):
            predictions[name].append(distance.argmin(0))
    return {name: np.concatenate(parts) for name, parts in predictions.items()}


def draw(pictures: Drawing, sheet: Sheet, images: Array, vocabulary: Sequence[str] = ()) -> None:
    pictures.images(sheet.path, images, sheet.titles, title=sheet.title)


def html(image: Array, vocabulary: Sequence[str] = ()) -> str:
    """The image, made smaller if it is large; small ones keep every pixel."""
    from PIL import Image

    pixels = np.asarray(image)
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    large = max(picture.size) > THUMBNAIL // 2
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    picture.save(data, "JPEG" if large else "PNG", quality=85)
    text = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="" src="data:image/{"jpeg" if large else "png"};base64,{text}">'


def calibration(images: Array) -> Array:
    """The calibration images, changed so that they contain 0 and 255.

    Without a 0 or a 255 a converter would assume a narrower range, and clip a device's pixels that
    exceed it. If they are missing, a corner pixel of the first image gets the value.
    """
    images = images.copy()
    for corner, extreme in ((0, 0), (-1, 255)):
        if extreme not in images:
            images[0].flat[corner] = extreme
    return images


def synthetic(examples: Array, limits: tuple[float, float]) -> Array:
    return _integers.synthetic(examples, int(limits[1]))


def invented(images: Array, limits: tuple[float, float]) -> Array:
    return _integers.invented(images, 0, int(limits[1]))


def preprocessing(description: Description) -> dict[str, Any]:
    framing = description.framing
    region = framing if isinstance(framing, list) else []
    method = framing if isinstance(framing, str) else "region"
    text = FRAMINGS[method].format(*(f"{part:.4g}" for part in region), size=SIZE)
    framed = {
        "method": method,
        "box": None,
        "description": f"{text}; transparent areas become white",
        **({"region": region} if region else {}),  # no key in older model files either
    }
    return PREPROCESSING.get(description.name, framed)
