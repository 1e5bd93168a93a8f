"""A digit of MNIST, rotated: by how many degrees? A number.

Each digit is rotated once, by an angle from -45 to 45 degrees, counter-clockwise positive. The
writers' own slant is part of what a model cannot know, so no error comes near 0.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, mnist
from pipeline.files.artifacts import Array

LARGEST = 45.0  # degrees


def load(params: Dataset) -> Raw:
    digits = mnist.load(params)
    train, test = rotated(digits.train_images), rotated(digits.test_images)
    return Raw(*train, *test, ["rotation"], target="number")


def rotated(images: Array) -> tuple[Array, Array]:
    """Images (N, H, W, 1) rotated at random, and the angles (N,) float32 in degrees."""
    angles = (
        np.random.default_rng(len(images))
        .uniform(-LARGEST, LARGEST, len(images))
        .astype(np.float32)
    )
    turned = np.empty_like(images)
    for row, (image, angle) in enumerate(zip(images[..., 0], angles, strict=True)):
        picture = Image.fromarray(image).rotate(float(angle), Image.Resampling.BILINEAR)
        turned[row, ..., 0] = picture
    return turned, angles
