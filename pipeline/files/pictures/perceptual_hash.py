"""A perceptual hash: 256 bits of which few differ between pictures that look the same.

They say which of the lowest frequencies of a discrete cosine transform are positive, the lowest
first (C. Zauner, 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, with
LEAST in place of the median). The first is that of the mean, and always 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

SIDE = 64  # pixels of the grey picture that is transformed
FREQUENCIES = 16  # of each direction
# Of whole numbers, which float64 adds without rounding: every processor finds the same signs.
COSINES = np.round(
    2**14 * np.cos(np.pi / SIDE * np.outer(np.arange(FREQUENCIES), np.arange(SIDE) + 0.5))
)
LEAST = 0.5 * (SIDE / 2 * 2**14) ** 2  # of a wave of half a grey level; less may be noise
LOWEST_FIRST = np.argsort(np.add.outer(*2 * [np.arange(FREQUENCIES)]).ravel(), kind="stable")


def perceptual_hash(grey: Image.Image) -> str:
    """The hash of a grey picture of any size, in hexadecimal digits."""
    small: Any = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    waves = COSINES @ np.asarray(small, np.float64) @ COSINES.T
    signs = waves.ravel()[LOWEST_FIRST] > LEAST
    signs[0] = False
    return np.packbits(signs).tobytes().hex()
