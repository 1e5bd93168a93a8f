"""Pictures, upright on white, framed to the size of an input."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from serving.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Pillow before 10.1 (Debian 12) cannot report it
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # what undoes each of its values; 1 is upright
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
STRIP = 256  # rows
CURE = "save it with 8 or 16 bits a channel"
FRAMINGS = ("resize", "letterbox", "centre_crop", "region")
PARTS = 10_000  # of a side, in which a region is measured
# More than any phone's photo has; a small file can claim more.
LARGEST_PIXELS = 64_000_000


def frame(image: Any, size: Tuple[int, int], framing: Any) -> Any:
    """A PIL image -> one of `size`, (width, height), by one of FRAMINGS or a region itself.

    In integers, as in other languages. A window around the middle begins at half the difference,
    rounded down.
    """
    from PIL import Image

    inner = size
    if framing == "letterbox":
        inner = _fitted(image.size, size)
    elif framing == "centre_crop":
        image = _middle(image, _fitted(size, image.size))
    elif framing != "resize":
        left, top, right, bottom = (
            divide(int(fraction * PARTS + 0.5) * side, PARTS)
            for fraction, side in zip(framing, 2 * image.size)
        )
        left, top = min(left, image.width - 1), min(top, image.height - 1)
        image = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    fewer = image.height - inner[1]
    rows_first = fewer > max(2 * (image.width - inner[0]), 0)  # Pillow 13 does it, older ones not
    first = (image.width, inner[1]) if rows_first else inner
    image = image.resize(first, Image.Resampling.LANCZOS)
    return _middle(image.resize(inner, Image.Resampling.LANCZOS), size)


def _fitted(shape: Tuple[int, int], size: Tuple[int, int]) -> Tuple[int, int]:
    """The largest size within `size` that has the aspect ratio of `shape`."""
    across, down = size[0] * shape[1], size[1] * shape[0]
    if across < down:
        return size[0], max(divide(across, shape[0]), 1)
    return max(divide(down, shape[1]), 1), size[1]


def _middle(image: Any, size: Tuple[int, int]) -> Any:
    """A window around the middle; outside of the image it is black."""
    left, top = ((old - new) // 2 for old, new in zip(image.size, size))
    return image.crop((left, top, left + size[0], top + size[1]))


def upright(image: Any, mode: str) -> Any:
    """`image` in `mode`, upright by its EXIF orientation, on white, scaled to 8 bits.

    Raises InputError if it cannot be known which of its values is white.
    """
    from PIL import Image

    turn = TURNS.get(image.getexif().get(ORIENTATION))
    if turn:  # ImageOps.exif_transpose rewrites the other EXIF tags and fails on malformed ones
        image = image.transpose(Image.Transpose[turn])
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    if image.mode == "F":
        _check_floats(np.asarray(image))
    if image.mode == "LAB":  # which Pillow cannot turn grey
        image = image.convert("RGB")
    if image.mode in TRANSPARENT or "transparency" in image.info:
        return _on_white(image, mode)
    return image.convert(mode)


def _eight_bits(grey: Any, mode: str) -> Any:
    """Of grey levels (H, W) of 16 bits. Raises InputError for others.

    In 32 bits, those up to 255 may be of 8.
    """
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high > 0xFFFF or (mode == "I" and 0 < high <= 0xFF):
        raise InputError(f"the photo has grey levels from {low:,} to {high:,}; {CURE}")
    return (grey >> 8).astype(np.uint8)


def _check_floats(grey: Any) -> None:
    """Raises InputError unless grey levels (H, W) are of 8 bits; those around 1 may be shares."""
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and (high == 0 or 2 <= high <= 255)):
        raise InputError(f"the photo has floating-point pixels from {low:g} to {high:g}; {CURE}")


def _on_white(image: Any, mode: str) -> Any:
    """In strips, as the whole would take three times the memory."""
    from PIL import Image

    result = Image.new(mode, image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height))).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        result.paste(Image.alpha_composite(white, strip).convert(mode), (0, top))
    return result


def divide(value: Any, by: int) -> Any:
    """Rounded to the nearest, halves up."""
    return (2 * value + by) // (2 * by)
