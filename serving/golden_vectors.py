"""The golden vectors of a bundle: inputs with each file's output from when it was verified."""

from __future__ import annotations

import io
from typing import Any, List, Sequence, Tuple
from zipfile import ZipFile

import numpy as np

from serving.errors import reason
from serving.model_card import ModelCard

# `images` (N, H, W, C) uint8, `labels` (N,), and one array of probabilities (N, K) per format
FILE = "golden.npz"
LARGEST_BYTES = 64 << 20  # unpacked; the bundle's own limits apply to the packed file
# zipfile keeps a kilobyte for each entry, which takes 90 bytes in the file
ENTRY, MOST_ENTRIES = b"PK\1\2", 100


def read(data: bytes, format: str, card: ModelCard) -> Tuple[Any, Any]:
    """Images (N, H, W, C), or ids (N, L), and the probabilities (N, K) expected of `format`.

    Raises ValueError.
    """
    images, probabilities = arrays(data, ["images", format], LARGEST_BYTES)
    if images.dtype != card.input.type or images.shape[1:] != card.input_shape or not images.size:
        raise ValueError(
            f"its images are {images.dtype} of shape {images.shape}, unlike the card's input"
        )
    expected = len(images), len(card.class_names)
    if probabilities.dtype.kind != "f" or probabilities.shape != expected:
        raise ValueError(
            f"its {format} is {probabilities.dtype} of shape {probabilities.shape}, "
            f"expected floats of shape {expected}"
        )
    return images, probabilities


def arrays(data: bytes, names: Sequence[str], largest_bytes: int) -> List[Any]:
    """The arrays with these names from an npz file. Raises ValueError."""
    try:
        if data.count(ENTRY) > MOST_ENTRIES:
            raise ValueError(f"it holds more than {MOST_ENTRIES} arrays")
        with ZipFile(io.BytesIO(data)) as entries:
            unpacked = sum(entry.file_size for entry in entries.infolist())
        if unpacked > largest_bytes:
            raise ValueError(
                f"it unpacks to {unpacked:,} bytes, expected at most {largest_bytes:,}"
            )
        with np.load(io.BytesIO(data), allow_pickle=False) as npz:
            return [_array(npz, name) for name in names]
    except Exception as error:  # zipfile and numpy raise anything on damaged files
        raise ValueError(reason(error)) from None


def _array(npz: Any, name: str) -> Any:
    if name not in npz:
        raise ValueError(f"it has no {name}")
    array = npz[name]
    if not isinstance(array, np.ndarray):  # numpy returns other members as bytes
        raise ValueError(f"its {name} is not an array")  # noqa: TRY004
    return array
