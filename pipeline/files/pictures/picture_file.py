"""The bytes of a picture file -> pixels, as a device makes them."""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.files.artifacts import Array
from pipeline.files.pictures.perceptual_hash import SIDE, perceptual_hash
from pipeline.process import git_lfs
from serving.errors import InputError
from serving.framing import FORMATS, LARGEST_PIXELS, ORIENTATION, frame, upright

Shape = tuple[int, int, int]  # height, width, channels
Framing = str | list[float]  # one of FRAMINGS, or left, top, right, bottom of a region
Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels of the upright picture

# Cameras of phones have up to this many pixels; a device takes LARGEST_PIXELS. A JPEG above
# that is decoded at a half, a quarter or an eighth of its size.
LARGEST_JPEG = 200_000_000
LARGEST_BYTES = 256 * 2**20  # of a file
GIANT = 16_000_000  # pixels; only one such picture is decoded at a time

_one_giant = threading.Lock()
# Pillow's own limit only warns, in a way that is not safe in threads; `_opened` refuses.
Image.MAX_IMAGE_PIXELS = None
# It also warns of damage that it can live with, such as in EXIF data.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(Exception):
    """A picture that is left out; the message is the reason, and follows the file's name."""


def check_size(size: int) -> None:
    """Raises PictureError for a file of too many bytes."""
    if size > LARGEST_BYTES:
        raise PictureError(f"has {size:,} bytes; expected at most {LARGEST_BYTES:,}")


def image(data: bytes, shape: Shape, box: Box | None = None, framing: Framing = "resize") -> Array:
    """The bytes of a picture, or its `box`, -> (H, W, C) uint8, framed as a device does it.

    Raises PictureError, or whatever Pillow raises on a damaged file.
    """
    height, width, channels = shape
    opened = _opened(data)
    with _turn(opened), opened:
        factor = _reduced(opened)
        whole = upright(opened, "L" if channels == 1 else "RGB")
        if box:
            whole = whole.crop(_clipped(box, whole.size, factor))
        framed = frame(whole, (width, height), framing)
    return np.asarray(framed, np.uint8).reshape(shape)


def inspect(data: bytes, box: Box | None) -> tuple[str, int]:
    """Decodes a picture to see that it can be. Raises as `image` does.

    Returns its perceptual hash, and the bits of its grey levels if it has more than 8, otherwise 0.
    """
    opened = _opened(data)
    with _turn(opened), opened:
        _check_box(box, opened)
        opened.draft(None, (SIDE, SIDE))  # enough for the hash, and reads the whole file
        # Pillow says it only until it has decoded the picture
        is_deep = opened.mode.startswith("I") or _is_deep_colour(opened)
        hash_ = perceptual_hash(upright(opened, "L"))
        bits = _bits(opened) if is_deep else 0
    return hash_, bits


def _is_deep_colour(opened: Image.Image) -> bool:
    """Of 16 bits a channel, where 0 is black."""
    can_be_deep = opened.format in ("PNG", "TIFF") and opened.mode != "CMYK"
    return can_be_deep and ";16" in str(getattr(opened, "tile", ""))


def _bits(opened: Image.Image) -> int:
    """How many of 16 bits a picture uses; in colour Pillow has kept the higher 8 of them."""
    if opened.mode.startswith("I"):
        return int(np.asarray(opened).max()).bit_length()
    bands = [band for band in opened.getbands() if band != "A"]
    return 8 + max(int(np.asarray(opened.getchannel(band)).max()).bit_length() for band in bands)


def _opened(data: bytes) -> Image.Image:
    if data.startswith(git_lfs.BEGINNING):
        raise PictureError(git_lfs.WHY)
    opened = Image.open(io.BytesIO(data), formats=FORMATS)
    pixels = opened.width * opened.height
    if pixels > (LARGEST_JPEG if _is_jpeg(opened) else LARGEST_PIXELS):
        raise PictureError(
            f"has {opened.width} x {opened.height} pixels; expected at most "
            f"{LARGEST_PIXELS:,}, or {LARGEST_JPEG:,} in a JPEG"
        )
    return opened


def _is_jpeg(opened: Image.Image) -> bool:
    return opened.format in ("JPEG", "MPO")  # MPO: several JPEGs in one file


def _turn(opened: Image.Image) -> Any:
    return _one_giant if opened.width * opened.height > GIANT else nullcontext()


def _reduced(opened: Image.Image) -> int:
    """Lets a JPEG that is too large for a device be decoded smaller; by which factor it is."""
    width, height = opened.size
    factor = 1
    while width * height > LARGEST_PIXELS * factor**2:
        factor *= 2
    if factor > 1:
        opened.draft(None, (width // factor, height // factor))
    return factor


def _check_box(box: Box | None, opened: Image.Image) -> None:
    if box is None:
        return
    width, height = opened.size
    if opened.getexif().get(ORIENTATION) in (5, 6, 7, 8):
        width, height = height, width
    left, top, right, bottom = _clipped(box, (width, height))
    if not (left < right and top < bottom):
        raise PictureError(f"has {width} x {height} pixels, and its box {box} holds none of them")


def _clipped(box: Box, size: tuple[int, int], factor: int = 1) -> Box:
    """The part of a box that lies in a picture of this width and height, 1 / `factor` as large.

    It has at least a pixel there if it has one in the whole picture.
    """
    left, top = (side // factor for side in box[:2])
    right, bottom = (-(-side // factor) for side in box[2:])
    return max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])


def reason(error: Exception) -> str:
    """Why a picture could not be read, as part of a sentence."""
    if isinstance(error, PictureError):
        return str(error)
    if isinstance(error, InputError):
        return str(error).removeprefix("the photo ")
    if isinstance(error, UnidentifiedImageError):
        return f"is not a picture; expected {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return f"could not be read: {error.strerror}"
    return f"is damaged: {' '.join(str(error).split())[:200] or type(error).__name__}"
