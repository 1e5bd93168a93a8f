"""Images with several labels at once, and answers to some of them."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array, Description

OWN = Description("own", ["a", "b", "c"], (12, 12, 1), {}, [], target="labels")
TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
OUTPUTS = np.array([[0.9, 0.1, 0.2], [0.9, 0.4, 0.6], [0.1, 0.2, 0.3], [0.1, 0.5, 0.4]])
BLOCKS = ((slice(0, 6), slice(0, 6)), (slice(0, 6), slice(6, 12)), (slice(6, 12), slice(0, 6)))


def drawn(count: int = 800) -> tuple[Array, Array]:
    """Images (N, 12, 12) in which a block is brighter or darker than the rest for each label.

    As it may be either, the mean image of each combination of labels is the same.
    """
    random = np.random.default_rng(0)
    present = random.integers(0, 2, (count, 3))
    images = random.normal(128, 8, (count, 12, 12))
    for label, (rows, columns) in enumerate(BLOCKS):
        contrast = present[:, label] * random.choice([-80, 80], count)
        if label == 2:  # of which some are hard to see
            contrast = contrast * random.choice([1, 0.1], count, p=[0.8, 0.2])
        images[:, rows, columns] += contrast[:, None, None]
    return np.clip(images, 0, 255).astype(np.uint8), present
