"""A few numbers that describe an input without showing it, to detect drift without storing pixels.

serving.inputs says which they are for each kind of input.
"""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from serving.inputs import KINDS

TOGETHER = 16  # inputs at a time; more take more memory, and time to allocate it


def names(shape: Tuple[int, ...], dtype: str) -> Tuple[str, ...]:
    """The statistics of inputs of this shape and type, such as pixels (H, W, C) uint8."""
    return KINDS[dtype].statistics(shape)


def compute(inputs: Any) -> Any:
    """Inputs (N, ...), such as images (N, H, W, C) uint8 -> (N, S) float32, columns as `names`."""
    starts = range(0, len(inputs), TOGETHER)
    return np.concatenate([_table(inputs[start : start + TOGETHER]) for start in starts])


def _table(inputs: Any) -> Any:
    kind = KINDS[inputs.dtype.name]
    columns = kind.compute(inputs)
    order = kind.statistics(inputs.shape[1:])
    return np.stack([columns[name] for name in order], axis=1).astype(np.float32)
