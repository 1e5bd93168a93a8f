"""A photo of something drawn or written -> the image MNIST would have of it: light ink on black,
fitted and centred.

It uses integers only, so that another language can reproduce it to the pixel:

1. shrink     by the smallest integer factor that brings both sides to at most 256; each pixel is
              the mean of its block
2. polarity   the border is background: the ink is light if max - median(border) >
              median(border) - min, else dark, and the pixels are inverted
3. background white top-hat: subtract the opening with a square of half the longer side, made odd
              upwards (Serra, 1982). It removes uneven light and keeps strokes. Edges are padded
              with their own pixels
4. threshold  half the maximum, rounded down; a pixel is ink if it and at least two of its eight
              neighbours exceed it. Pixels further from ink than 1/28 of the longer side (at least
              1 pixel, across and down) become 0
5. levels     twice the median below the threshold (noise) -> 0, the median of the ink -> 255
6. fit        the bounding box into a square of `box` pixels, aspect ratio kept, each pixel the mean
              of the area it covers; then the brightest pixel to 255
7. centre     the centre of mass, in pixels from 0, at size / 2, as everywhere in MNIST

Quotients are rounded to the nearest, halves up. The median of an even count is the upper one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.errors import InputError

LONGEST = 256
REACH = 28  # the soft edge of ink is at most 1/28 of the longer side
LEAST_CONTRAST = 16  # of 256 levels; below that there is only noise
NOTHING = "the photo shows nothing that stands out from its background"


def normalize(grey: Any, size: int, box: int) -> Any:
    """Grey pixels (h, w) uint8 -> (size, size) uint8.

    Raises InputError if nothing stands out from the background.
    """
    ink = _light_ink(_shrink(grey))
    ink = ink - _opening(ink, (max(ink.shape) // 2) | 1)
    threshold = int(ink.max()) // 2
    ink = _levels(ink, threshold, _ink_mask(ink > threshold))
    fitted = _fit(_crop(ink), box)
    return _centre(divide(fitted * 255, int(fitted.max())), size)


def divide(value: Any, by: int) -> Any:
    return (2 * value + by) // (2 * by)


def _median(values: Any) -> int:
    return int(np.sort(values, axis=None)[values.size // 2])


def _shrink(grey: Any) -> Any:
    factor = -(-max(grey.shape) // LONGEST)
    height, width = (max(side // factor, 1) for side in grey.shape)
    blocks = grey[: height * factor, : width * factor]
    tops = range(0, blocks.shape[0], factor)
    rows = np.stack([blocks[top : top + factor].sum(0, dtype=np.int64) for top in tops])
    sums = np.add.reduceat(rows, np.arange(0, blocks.shape[1], factor), axis=1)
    return divide(sums, min(factor, blocks.shape[0]) * min(factor, blocks.shape[1]))


def _light_ink(grey: Any) -> Any:
    border = _median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]))
    return grey if int(grey.max()) - border > border - int(grey.min()) else 255 - grey


def _opening(pixels: Any, window: int) -> Any:
    return _square(_square(pixels, window, np.minimum), window, np.maximum)


def _square(pixels: Any, window: int, reduce: Any) -> Any:
    """`reduce` over the square of `window` pixels around each pixel."""
    return _sliding(_sliding(pixels, window, reduce).T, window, reduce).T


def _sliding(pixels: Any, window: int, reduce: Any) -> Any:
    """`reduce` over the `window` rows around each row, in O(log2(window)) steps."""
    result, span = np.pad(pixels, ((window // 2, window // 2), (0, 0)), mode="edge"), 1
    while span < window:
        step = min(span, window - span)
        result, span = reduce(result[:-step], result[step:]), span + step
    return result


def _neighbours(mask: Any) -> Any:
    """How many of the nine pixels around and including each are set."""
    padded = np.pad(mask.astype(np.int64), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _ink_mask(above: Any) -> Any:
    mask = above & (_neighbours(above) >= 3)
    if not mask.any():
        raise InputError(f"{NOTHING}; take it closer, on even paper")
    return mask


def _levels(ink: Any, threshold: int, mask: Any) -> Any:
    noise, full = 2 * _median(ink[ink <= threshold]), _median(ink[mask])
    if full - noise < LEAST_CONTRAST:
        raise InputError(f"{NOTHING}; take it with more light or a darker pen")
    levels = np.clip(divide((ink - noise) * 255, full - noise), 0, 255)
    reach = 2 * max(max(ink.shape) // REACH, 1) + 1
    return np.where(_square(mask.astype(np.uint8), reach, np.maximum), levels, 0)


def _crop(ink: Any) -> Any:
    rows, columns = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fit(ink: Any, box: int) -> Any:
    longest = max(ink.shape)
    height, width = (max(int(divide(side * box, longest)), 1) for side in ink.shape)
    sums = _overlap(ink.shape[0], height) @ ink @ _overlap(ink.shape[1], width).T
    return divide(sums, ink.shape[0] * ink.shape[1])


def _overlap(old: int, new: int) -> Any:
    """(new, old): the overlap of each old pixel with each new one, if a side is old * new long."""
    new_starts, new_ends = np.arange(new)[:, None] * old, np.arange(1, new + 1)[:, None] * old
    old_starts, old_ends = np.arange(old) * new, np.arange(1, old + 1) * new
    overlap = np.minimum(new_ends, old_ends) - np.maximum(new_starts, old_starts)
    return np.clip(overlap, 0, None)


def _centre(ink: Any, size: int) -> Any:
    mass = int(ink.sum())
    result = np.zeros((size, size), np.uint8)
    corner = []
    for axis, side in enumerate(ink.shape):
        moment = int((ink.sum(1 - axis) * np.arange(side)).sum())
        corner.append(min(max(divide(size * mass - 2 * moment, 2 * mass), 0), size - side))
    result[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return result
