"""Images that lie in an array in another form, and the NumPy that turns them into pixels."""

from __future__ import annotations

import math

import numpy as np

from pipeline.files.artifacts import Array

COLOUR, ALPHA = 3, 4  # channels
TINY, SMALL = 8, 16  # pixels: the smallest side of square images that are known, and of others
BRIGHTEST = 255
FEW_LEVELS = 31  # no photo is so dark, so 0 to 1 or 0 to 16 means black to white


def cure(key: str, array: Array) -> str:
    """The end of a sentence that says what to store of an array; empty if it holds no images."""
    layout = _layout(key, array.shape)
    return f"; if it holds images, store {_pixels(layout, array)}" if layout else ""


def could_be(array: Array) -> bool:
    """Whether an array that was taken for something else has the shape and values of pixels."""
    if not _has_sides(array.shape[1:3]) or not _layout("x", array.shape):
        return False
    if not array.size or array.min() < 0 or array.max() > BRIGHTEST:
        return False
    return bool(array.max() <= 1) or not np.any(array % 1)


def _has_sides(sides: tuple[int, ...]) -> bool:
    """Whether these are the sides of images, or of what is flat and may be images in rows."""
    return min(sides) >= (TINY if len(set(sides)) == 1 else SMALL)


def _layout(key: str, shape: tuple[int, ...]) -> str:
    """The expression that gives (N, H, W), (N, H, W, 1) or (N, H, W, 3); empty if none does."""
    if len(shape) == 2:
        side = math.isqrt(shape[1])
        is_square = side**2 == shape[1] and (side == TINY or side >= SMALL)
        return f"{key}.reshape(-1, {side}, {side})" if is_square else ""
    if len(shape) == 4 and shape[3] not in (1, COLOUR):
        if shape[1] in (1, COLOUR):
            return f"{key}.transpose(0, 2, 3, 1)"
        return f"{key}[..., :{COLOUR}]" if shape[3] == ALPHA else ""
    return key if len(shape) in (3, 4) else ""


def _pixels(layout: str, array: Array) -> str:
    """The expression that gives uint8 from 0 to 255 of what has the right layout."""
    if array.dtype.kind == "b":
        return f"{BRIGHTEST} * {layout}.astype(np.uint8)"
    low, high = array.min(initial=0), array.max(initial=0)
    if low >= 0 and high <= FEW_LEVELS:
        times = BRIGHTEST if high <= 1 else f"{BRIGHTEST} / {math.ceil(high)}"
        return f"np.rint({times} * {layout}).astype(np.uint8)"
    if low >= 0 and high <= BRIGHTEST:
        levels = f"np.rint({layout})" if array.dtype.kind == "f" else layout
        return levels if array.dtype == np.uint8 else f"{levels}.astype(np.uint8)"
    if low >= -1 and high <= 1:
        return f"np.rint({BRIGHTEST / 2} * ({layout} + 1)).astype(np.uint8)"
    if low >= 0 and high < 2**16 and array.dtype.kind in "iu":
        bits = max(int(high).bit_length(), 12)  # cameras have 12, 14 or 16
        return f"({layout} >> {bits - 8}).astype(np.uint8)"
    return f"{layout} as uint8, with the pixels from 0 to {BRIGHTEST} that they were made of"
