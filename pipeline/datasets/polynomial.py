"""The lectures' example of ridge regression: x + 0.2 x^2 - x^3 and noise. A number.

An input is x itself, a series of one step: its powers are part of the model, as a device measures x
alone. The range of x, the noise and the few training examples are those of lectures/S5.yaml.
"""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw
from pipeline.files.artifacts import Array

RANGE, NOISE = 2.0, 0.5
TRAINED, HELD_OUT = 20, 1000  # examples for training; for validation, and for the test


def load(params: Dataset) -> Raw:
    random = np.random.default_rng(0)
    train, test = drawn(TRAINED + HELD_OUT, random), drawn(HELD_OUT, random)
    validation = np.arange(TRAINED, TRAINED + HELD_OUT)
    return Raw(*train, *test, ["y"], kind="series", target="number", validation=validation)


def drawn(count: int, random: np.random.Generator) -> tuple[Array, Array]:
    """x as series (N, 1, 1) and the targets (N,), both float32."""
    x = random.uniform(-RANGE, RANGE, count)
    y = x + 0.2 * x**2 - x**3 + random.normal(0, NOISE, count)
    return x.astype(np.float32)[:, None, None], y.astype(np.float32)
