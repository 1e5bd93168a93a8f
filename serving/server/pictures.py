"""A picture that a person sent, as the model's input."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from serving.errors import InputError
from serving.model_card import ModelCard
from serving.server.limits import Limits


def read_picture(data: bytes, card: ModelCard, limits: Limits) -> Any:
    """A PNG or JPEG as (H, W, C) uint8. Raises InputError."""
    from PIL import Image

    height, width, channels = card.input_shape
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > limits.max_pixels:
                raise InputError(f"the picture has {picture.width} x {picture.height} pixels; allowed are {limits.max_pixels} in all")
            pixels = picture.convert("L" if channels == 1 else "RGB").resize((width, height))
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds on a damaged file
        raise InputError(f"the body is not a readable PNG or JPEG ({str(error)[:100]})") from None
    return np.asarray(pixels, np.uint8).reshape(card.input_shape)
