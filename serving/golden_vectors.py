"""The golden vectors of a bundle: inputs, and what each file answered to them when it was verified."""

from __future__ import annotations

import io
from typing import Any, Tuple
from zipfile import ZipFile

import numpy as np

from serving.model_card import ModelCard

# `images` (N, H, W, C) uint8, `labels` (N,), and under each format's name its probabilities (N, K)
FILE = "golden.npz"
LARGEST_BYTES = 64 << 20  # unpacked; the limits of the bundle see the packed file alone


def read(data: bytes, format: str, card: ModelCard) -> Tuple[Any, Any]:
    """Images (N, H, W, C), or ids (N, L), and the probabilities (N, K) that `format` must give.

    Raises ValueError.
    """
    try:
        with ZipFile(io.BytesIO(data)) as entries:
            unpacked = sum(entry.file_size for entry in entries.infolist())
        if unpacked > LARGEST_BYTES:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, expected at most {LARGEST_BYTES:,}")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            images, probabilities = arrays["images"], arrays[format]
    except Exception as error:  # zipfile and numpy raise whatever their parsers fall over
        raise ValueError(str(error)) from None
    if images.dtype != card.input.type or images.shape[1:] != card.input_shape or not images.size:
        raise ValueError(f"its images are {images.dtype} of shape {images.shape}, unlike the input that the card names")
    expected = len(images), len(card.class_names)
    if probabilities.dtype.kind != "f" or probabilities.shape != expected:
        raise ValueError(f"its {format} is {probabilities.dtype} of shape {probabilities.shape}, expected floats of {expected}")
    return images, probabilities
