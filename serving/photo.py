"""Pictures of any size and mode -> the model's input, as the model card says."""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple, Union

import numpy as np

from serving import mnist_photo
from serving.errors import InputError

if TYPE_CHECKING:
    from serving.model_card import ModelCard

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
TRANSPARENT = (
    "LA",
    "La",
    "PA",
    "RGBA",
    "RGBa",
)  # Pillow before 10.1, as Debian 12 has it, cannot be asked
ORIENTATION = 0x0112  # the tag in EXIF, and what turns back each of its values but 1
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
STRIP = 256  # rows
LARGEST_PIXELS = 64_000_000  # the largest photo that a telephone takes is smaller; a small file can claim to be much larger


def read(
    source: Union[str, Path, bytes],
    card: ModelCard,
    formats: Tuple[str, ...] = FORMATS,
    largest_pixels: int = LARGEST_PIXELS,
) -> Any:
    """The picture in a file, or its bytes -> (H, W, C) uint8 for `card`. Raises InputError for what is no picture of `formats`."""
    from PIL import Image, UnidentifiedImageError

    name = "the picture" if isinstance(source, bytes) else str(source)
    try:
        if not isinstance(source, bytes) and not stat.S_ISREG(
            Path(source).stat().st_mode
        ):  # a pipe might never end
            raise InputError(f"{name} is not a file; name a picture: {', '.join(formats)}")
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that of a decompression bomb: the limit below is lower
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats
            ) as image:
                if image.width * image.height > largest_pixels:
                    raise InputError(
                        f"{name} has {image.width} x {image.height} pixels; at most {largest_pixels:,} are allowed"
                    )
                return to_input(image, card)
    except InputError as error:
        raise InputError(str(error).replace("the photo", name, 1)) from None
    except UnidentifiedImageError:
        raise InputError(f"{name} is no picture; allowed are {', '.join(formats)}") from None
    except OSError as error:
        raise InputError(
            f"{name} is not readable ({error.strerror or error}); name a picture: {', '.join(formats)}"
        ) from None
    except Exception as error:  # on damaged files Pillow raises whatever its parsers fall over
        raise InputError(
            f"{name} is damaged ({error}); name a picture: {', '.join(formats)}"
        ) from None


def to_input(image: Any, card: ModelCard) -> Any:
    """A PIL image -> (H, W, C) uint8, by the method that `card` names."""
    method = card.preprocessing.method
    if card.input.type != "uint8":
        raise InputError(
            f"the photo is no input of {card.name}, which takes {card.input.type} ids: {card.preprocessing.description}"
        )
    height, width, channels = card.input_shape
    flat = upright(image, "L" if channels == 1 else "RGB")
    if method == "mnist" and card.preprocessing.box is not None:
        pixels = mnist_photo.normalize(np.asarray(flat), height, card.preprocessing.box)
    elif method == "resize":
        from PIL import Image

        pixels = np.asarray(flat.resize((width, height), Image.Resampling.LANCZOS))
    else:
        raise InputError(
            f"the model card asks for preprocessing by {method!r}, which this package does not know; install a newer one"
        )
    return pixels.reshape(height, width, channels)


def upright(image: Any, mode: str) -> Any:
    """`image` in `mode`, turned as its EXIF orientation says, transparency laid on white, deeper pixels scaled to 8 bits."""
    from PIL import Image

    turn = TURNS.get(image.getexif().get(ORIENTATION))
    if turn:  # not by ImageOps.exif_transpose, which writes the rest of EXIF anew and falls over what is wrong in it
        image = image.transpose(Image.Transpose[turn])
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in TRANSPARENT or "transparency" in image.info:
        return _on_white(image, mode)
    return image.convert(mode)


def _on_white(image: Any, mode: str) -> Any:
    """In strips, as the whole of it would be in memory three times more."""
    from PIL import Image

    result = Image.new(mode, image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height))).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        result.paste(Image.alpha_composite(white, strip).convert(mode), (0, top))
    return result
