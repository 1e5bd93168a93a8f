"""Augmentation of a sensor with three axes: it sits a little differently on every wearer."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

AXES = 3


class RandomTurn(keras.layers.Layer):
    """Turns the sensors of each series (N, T, C) in training, all of them alike.

    Channels are axes in threes, such as ax, ay, az of acceleration and wx, wy, wz of the rate of
    turning. The turn about each axis is normally distributed with a standard deviation in degrees.
    Raises ValueError for a deviation that is not above 0.
    """

    KIND = "series"

    def __init__(self, degrees: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if not degrees > 0:
            raise ValueError(f"degrees is {degrees}; expected above 0")
        self.degrees = degrees
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return inputs
        shape = ops.shape(inputs)
        turns = keras.random.normal(
            (shape[0], AXES), stddev=math.radians(self.degrees), seed=self.seed_generator
        )
        axes = ops.reshape(inputs, (shape[0], -1, AXES))
        return ops.reshape(ops.matmul(axes, rotations(turns)), shape)


def rotations(turns: Any) -> Any:
    """The matrices (N, 3, 3) of rotation vectors (N, 3) in radians, by Rodrigues' formula."""
    angles = ops.norm(turns, axis=1)[:, None, None] + 1e-9
    x, y, z = (turns[:, axis] for axis in range(AXES))
    zero = ops.zeros_like(x)
    rows = ops.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1)
    crossed = ops.reshape(rows, (-1, AXES, AXES)) / angles
    return (
        ops.eye(AXES)
        + ops.sin(angles) * crossed
        + (1 - ops.cos(angles)) * ops.matmul(crossed, crossed)
    )
