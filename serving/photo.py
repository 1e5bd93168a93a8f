"""Pictures of any size and mode -> the model's input, as the model card says.

The method `mnist` gives the image that MNIST would have of something drawn or written: light ink on
black, fitted and centred. It uses integers only, so that another language can reproduce it to the
pixel. The median of an even count is the upper one.

1. shrink     by the smallest integer factor that brings both sides to at most 256; each pixel is
              the mean of its block
2. polarity   the border is background; dark ink is inverted
3. background white top-hat: subtract the opening with a square of half the longer side, made odd
              upwards (Serra, 1982). It keeps strokes, not uneven light
4. threshold  half the maximum, rounded down; a pixel is ink if it and at least two of its eight
              neighbours exceed it. Pixels further from ink than 1/28 of the longer side become 0
5. levels     twice the median below the threshold -> 0, the median of the ink -> 255
6. fit        the bounding box into a square of `box` pixels, aspect ratio kept, each pixel the mean
              of the area it covers; then the brightest pixel to 255
7. centre     the centre of mass, in pixels from 0, at size / 2, as everywhere in MNIST
"""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple, Union

import numpy as np

from serving.errors import InputError
from serving.framing import FORMATS, FRAMINGS, LARGEST_PIXELS, divide, frame, upright

if TYPE_CHECKING:
    from serving.model_card import ModelCard

LONGEST = 256
LONGEST_SIDE = 65_535  # pixels, as in JPEG; resizing more takes seconds
REACH = 28  # of step 4
LEAST_CONTRAST = 16  # of 256 levels; below that there is only noise
NOTHING = "the photo shows nothing that stands out from its background"


def read(
    source: Union[str, Path, bytes],
    card: ModelCard,
    formats: Tuple[str, ...] = FORMATS,
    largest_pixels: int = LARGEST_PIXELS,
) -> Any:
    """A picture file, or its bytes -> (H, W, C) uint8 for `card`.

    Raises InputError unless it is a picture in one of `formats`.
    """
    from PIL import UnidentifiedImageError

    name = "the picture" if isinstance(source, bytes) else str(source)
    names = ", ".join(formats)
    try:
        # a pipe might never end
        if not isinstance(source, bytes) and not stat.S_ISREG(Path(source).stat().st_mode):
            raise InputError(f"{name} is not a file; name a picture: {names}")
        return _decode(source, card, formats, largest_pixels)
    except InputError as error:
        raise InputError(str(error).replace("the photo", name, 1)) from None
    except UnidentifiedImageError:
        name = "the body" if isinstance(source, bytes) else name
        fault = f"not a picture; expected {names}"
        if name.lower().endswith((".heic", ".heif")):
            fault = "HEIC, which is not read here: convert it to JPEG, on Linux with heif-convert"
        raise InputError(f"{name} is {fault}") from None
    except OSError as error:
        raise InputError(
            f"{name} is not readable ({error.strerror or error}); name a picture: {names}"
        ) from None
    except Exception as error:  # on damaged files Pillow raises anything
        raise InputError(f"{name} is damaged ({error}); name a picture: {names}") from None


def _decode(
    source: Union[str, Path, bytes], card: ModelCard, formats: Tuple[str, ...], largest_pixels: int
) -> Any:
    from PIL import Image

    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with warnings.catch_warnings():
        # Pillow warns of decompression bombs above a higher limit than ours.
        warnings.simplefilter("ignore")
        with Image.open(file, formats=formats) as image:
            if image.width * image.height > largest_pixels or max(image.size) > LONGEST_SIDE:
                raise InputError(
                    f"the photo has {image.width} x {image.height} pixels; "
                    f"expected at most {largest_pixels:,}, and {LONGEST_SIDE:,} a side"
                )
            return to_input(image, card)


def to_input(image: Any, card: ModelCard) -> Any:
    """A PIL image -> (H, W, C) uint8, by the method that `card` names."""
    how = card.preprocessing
    method, box, region = how.method, how.box, how.region
    if not card.kind.from_pictures:
        raise InputError(
            f"the photo is not an input of {card.name}, which takes {card.input.type} "
            f"{card.kind.noun}: {how.description}"
        )
    height, width, channels = card.input_shape
    flat = upright(image, "L" if channels == 1 else "RGB")
    if method == "mnist" and box:
        pixels = normalize(np.asarray(flat), height, box)
    elif method in FRAMINGS:
        pixels = np.asarray(frame(flat, (width, height), region or method))
    else:
        raise InputError(
            f"the model card names the preprocessing {method!r}, which this package does not know; "
            "install a newer one"
        )
    return pixels.reshape(height, width, channels)


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
