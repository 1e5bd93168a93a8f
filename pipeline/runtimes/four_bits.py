"""Integers of four bits as TensorFlow Lite has them: two in a byte, the first in its lower half."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array


def packed(values: Array) -> Array:
    """Values (..., N) int8 from -8 to 7 as bytes (..., ceil(N / 2)) int8, each row by itself."""
    odd = values.shape[-1] % 2
    even = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, odd)]) & 0x0F
    return even[..., ::2] | even[..., 1::2] << 4


def unpacked(data: bytes, shape: tuple[int, ...]) -> Array:
    """The values of a tensor of this shape, as int8."""
    halves = np.frombuffer(data, np.uint8)[:, None] >> np.array([0, 4], np.uint8) & 0x0F
    values = (halves.reshape(-1).astype(np.int8) ^ 8) - np.int8(8)
    return values[: int(np.prod(shape))].reshape(shape)
