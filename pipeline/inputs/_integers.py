"""Generated inputs of whole numbers from 0 to a highest value."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array

INVENTED = 32  # random inputs, for data that may not be passed on


def synthetic(examples: Array, highest: int) -> Array:
    """Inputs (E, ...) at the extremes: negatives of `examples`, all zeros, all `highest`, noise.

    Negatives are bright where the data are dark, so they produce sums of products that the data do
    not.
    """
    shape = examples.shape[1:]
    negatives = highest - np.asarray(examples)
    noise = np.random.default_rng(0).integers(0, highest + 1, shape)
    extremes = np.stack([np.zeros(shape), np.full(shape, highest), noise])
    return np.concatenate([negatives, extremes]).astype(examples.dtype)


def invented(inputs: Array, lowest: int, highest: int) -> Array:
    """Random inputs (E, ...) from `lowest`, zeros and `highest`.

    Negatives would reveal the data as much as the data themselves. Random ids can match a recorded
    input by chance; such a draw is left out.
    """
    shape = inputs.shape[1:]
    random = np.random.default_rng(0)
    drawn = random.integers(lowest, highest + 1, (INVENTED, *shape)).astype(inputs.dtype)
    recorded = {row.tobytes() for row in inputs}
    new = [row for row in drawn if row.tobytes() not in recorded]
    return np.stack([*new, np.zeros_like(drawn[0]), np.full_like(drawn[0], highest)])
