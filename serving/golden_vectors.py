"""The golden vectors of a bundle: inputs, and what each file answered to them when it was verified."""

from __future__ import annotations

import io
from typing import Any, List, Sequence, Tuple
from zipfile import ZipFile

import numpy as np

from serving.errors import reason
from serving.model_card import ModelCard

# `images` (N, H, W, C) uint8, `labels` (N,), and under each format's name its probabilities (N, K)
FILE = "golden.npz"
LARGEST_BYTES = 64 << 20  # unpacked; the limits of the bundle see the packed file alone


def read(data: bytes, format: str, card: ModelCard) -> Tuple[Any, Any]:
    """Images (N, H, W, C), or ids (N, L), and the probabilities (N, K) that `format` must give.

    Raises ValueError.
    """
    images, probabilities = arrays(data, ["images", format], LARGEST_BYTES)
    if images.dtype != card.input.type or images.shape[1:] != card.input_shape or not images.size:
        raise ValueError(
            f"its images are {images.dtype} of shape {images.shape}, unlike the input that the card names"
        )
    expected = len(images), len(card.class_names)
    if probabilities.dtype.kind != "f" or probabilities.shape != expected:
        raise ValueError(
            f"its {format} is {probabilities.dtype} of shape {probabilities.shape}, expected floats of {expected}"
        )
    return images, probabilities


def arrays(data: bytes, names: Sequence[str], largest_bytes: int) -> List[Any]:
    """The arrays of an npz file with these names. Raises ValueError."""
    try:
        with ZipFile(io.BytesIO(data)) as entries:
            unpacked = sum(entry.file_size for entry in entries.infolist())
        if unpacked > largest_bytes:
            raise ValueError(
                f"it unpacks to {unpacked:,} bytes, expected at most {largest_bytes:,}"
            )
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return [_array(held, name) for name in names]
    except Exception as error:  # zipfile and numpy raise whatever their parsers fall over
        raise ValueError(reason(error)) from None


def _array(held: Any, name: str) -> Any:
    if name not in held:
        raise ValueError(f"it has no {name}")
    array = held[name]
    if not isinstance(array, np.ndarray):  # numpy gives the bytes of what is not an array
        raise ValueError(f"its {name} is not an array")  # noqa: TRY004
    return array
