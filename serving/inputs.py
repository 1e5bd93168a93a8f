"""The kinds of input. Whatever depends on what a model takes is here, in an entry.

The pipeline's part of a kind is the module of the same name in pipeline/inputs. The statistics are
a few numbers that describe an input without showing it, to detect drift without storing pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Tuple

import numpy as np

TOGETHER = 16  # inputs at a time; more take more memory, and time to allocate it
GREY = (
    "brightness",
    "contrast",
    "sharpness",
    "row",
    "column",
    "height",
    "width",
    "slant",
)


@dataclass(frozen=True)
class InputKind:
    """`type` is NumPy's name of the values, the same at the interface of every file."""

    name: str
    type: str
    noun: str  # of the values, in messages
    dimensions: int  # of one input
    datatype: str  # of the Open Inference Protocol; empty if the server cannot take it
    statistics: Callable[[Tuple[int, ...]], Tuple[str, ...]]  # their names, for inputs of a shape
    compute: Callable[[Any], Dict[str, Any]]  # the statistics (N,) of inputs (N, ...), by name
    from_pictures: bool = False  # serving.photo can make them
    may_be_nan: bool = False  # so the values are checked
    suffixes: Tuple[str, ...] = ()  # of files besides pictures that `serving predict` reads
    single: str = "an input"  # one of them, in messages

    def fault(self, inputs: Any) -> str:
        """What is wrong with the values of inputs (N, ...) of this type; empty if nothing is."""
        if not self.may_be_nan or np.isfinite(inputs).all():
            return ""
        finite = np.isfinite(inputs).reshape(len(inputs), -1).all(1)
        return (
            f"has NaN or infinity in number {int(finite.argmin())}, counted from 0; "
            "expected finite numbers"
        )


def _names_for_pixels(shape: Tuple[int, ...]) -> Tuple[str, ...]:
    return (*GREY, "colour") if shape[-1] > 1 else GREY


def _pixel_statistics(images: Any) -> Dict[str, Any]:
    """Brightness, contrast, sharpness and colour in grey levels; the rest in sides of the image.

    The moments of the ink up to second order (Hu, 1962) give its place, spread and slant.
    """
    grey = images.mean(3, dtype=np.float64)
    count, height, width = grey.shape
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    by_row, by_column = grey.sum(2), grey.sum(1)
    total = np.maximum(by_row.sum(1), 1e-9)
    row, column = (by_row @ rows) / total, (by_column @ columns) / total
    row_variance = (by_row @ rows**2) / total - row**2
    column_variance = (by_column @ columns**2) / total - column**2
    covariance = (grey @ columns * rows).sum(1) / total - row * column
    spread = np.sqrt(np.maximum(row_variance, 0)), np.sqrt(np.maximum(column_variance, 0))
    steps = np.abs(np.diff(grey, axis=1)).sum((1, 2)) + np.abs(np.diff(grey, axis=2)).sum((1, 2))
    colour = np.zeros(count)
    if images.shape[3] > 1:
        colour = (images.max(3).astype(np.float64) - images.min(3)).mean((1, 2))
    return {
        "brightness": grey.mean((1, 2)),
        "contrast": grey.std((1, 2)),
        "sharpness": steps / max(2 * height * width - height - width, 1),
        "row": row,
        "column": column,
        "height": spread[0],
        "width": spread[1],
        "slant": covariance / np.maximum(spread[0] * spread[1], 1e-9),
        "colour": colour,
    }


def _id_statistics(ids: Any) -> Dict[str, Any]:
    """Count, mean and standard deviation of the ids that are not 0, the padding."""
    mask = ids > 0
    length = mask.sum(1)
    divisor = np.maximum(length, 1)
    values = np.where(mask, ids, 0).astype(np.float64)
    mean = values.sum(1) / divisor
    variance = np.where(mask, (values - mean[:, None]) ** 2, 0).sum(1) / divisor
    return {"length": length, "mean_id": mean, "id_spread": np.sqrt(variance)}


def _series_statistics(series: Any) -> Dict[str, Any]:
    """Of all channels together; roughness is the mean difference of neighbouring steps."""
    values = series.astype(np.float64)
    axes = (1, 2)
    steps = np.abs(np.diff(values, axis=1)).sum(axes)
    return {
        "mean": values.mean(axes),
        "deviation": values.std(axes),
        "roughness": steps / max(values[0, 1:].size, 1),
    }


PIXELS = InputKind(
    name="pixels",
    type="uint8",
    noun="pixels",
    dimensions=3,  # height, width, channels
    datatype="UINT8",
    statistics=_names_for_pixels,
    compute=_pixel_statistics,
    from_pictures=True,
    single="an image",
)
# The type is that of pixels, and a model card with `preprocessing.sound` tells them apart
SOUNDS = InputKind(
    name="sounds",
    type="uint8",
    noun="log-mel features",
    dimensions=3,  # frames, bands, 1
    datatype="UINT8",
    statistics=lambda shape: GREY,
    compute=_pixel_statistics,
    suffixes=(".wav",),
    single="a sound",
)
IDS = InputKind(
    name="ids",
    type="int32",
    noun="ids",
    dimensions=1,  # from 1, zero-padded
    datatype="",
    statistics=lambda shape: ("length", "mean_id", "id_spread"),
    compute=_id_statistics,
)
SERIES = InputKind(
    name="series",
    type="float32",
    noun="series",
    dimensions=2,  # steps, channels
    datatype="FP32",
    statistics=lambda shape: ("mean", "deviation", "roughness"),
    compute=_series_statistics,
    may_be_nan=True,
    suffixes=(".csv", ".npy"),
)
KINDS = {kind.type: kind for kind in (PIXELS, IDS, SERIES)}
TYPES = {kind.name: kind.type for kind in (*KINDS.values(), SOUNDS)}


def statistic_names(shape: Tuple[int, ...], type: str) -> Tuple[str, ...]:
    """The statistics of inputs of this shape and type, such as pixels (H, W, C) uint8."""
    return KINDS[type].statistics(shape)


def statistics(inputs: Any) -> Any:
    """Inputs (N, ...) of a kind -> (N, S) float32, columns as in `statistic_names`."""
    starts = range(0, len(inputs), TOGETHER)
    return np.concatenate([_table(inputs[start : start + TOGETHER]) for start in starts])


def _table(inputs: Any) -> Any:
    kind = KINDS[inputs.dtype.name]
    columns = kind.compute(inputs)
    order = kind.statistics(inputs.shape[1:])
    return np.stack([columns[name] for name in order], axis=1).astype(np.float32)
