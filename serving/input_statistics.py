"""A few numbers that describe an input without showing it, to detect drift without storing pixels.

For pictures: brightness, contrast, sharpness, colour, and the moments of the ink up to second order
(Hu, 1962), which give its place, spread and slant. For ids: their count, mean and spread.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

PIXELS = ("brightness", "contrast", "sharpness", "row", "column", "height", "width", "slant")
COLOUR = ("colour",)
TOGETHER = 16  # inputs at a time; more take more memory, and time to allocate it
IDS = ("length", "mean_id", "id_spread")


def names(shape: Tuple[int, ...], dtype: str) -> Tuple[str, ...]:
    """The statistics of inputs of this shape and type: pixels (H, W, C) uint8 or ids (L,) int32."""
    if dtype != "uint8":
        return IDS
    return PIXELS + COLOUR if shape[-1] > 1 else PIXELS


def compute(inputs: Any) -> Any:
    """Images (N, H, W, C) uint8, or ids (N, L) int32 -> (N, S) float32, columns as in `names`."""
    starts = range(0, len(inputs), TOGETHER)
    return np.concatenate([_table(inputs[start : start + TOGETHER]) for start in starts])


def _table(inputs: Any) -> Any:
    columns = _pixel_statistics(inputs) if inputs.dtype == np.uint8 else _id_statistics(inputs)
    order = names(inputs.shape[1:], inputs.dtype.name)
    return np.stack([columns[name] for name in order], axis=1).astype(np.float32)


def _pixel_statistics(images: Any) -> Dict[str, Any]:
    """Brightness, contrast, sharpness and colour in grey levels; the rest in sides of the image."""
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
