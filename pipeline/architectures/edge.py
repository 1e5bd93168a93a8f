"""A small convolution network for devices: 71,850 parameters and 2.3 million multiplications for 28 x 28 grey images.

The first convolution strides, so that the costly full-size feature maps never exist: an epoch takes less time than one
of `cnn`, and the memory a microcontroller needs stays small. Batch normalization is folded into the convolutions on
export. Its average moves fast (momentum 0.9), because the schedule is short.
"""

from __future__ import annotations

import keras
from keras import layers


def block(filters: int, kernel_size: int, strides: int = 1, padding: str = "valid") -> list[keras.Layer]:
    return [
        layers.Conv2D(filters, kernel_size, strides=strides, padding=padding, use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def build(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(input_shape, name="image"),
            layers.Rescaling(1 / 255),
            *block(32, 5, strides=2, padding="same"),
            *block(32, 3),
            *block(64, 3, strides=2),
            *block(64, 3),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(num_classes, activation="softmax", name="probabilities", dtype="float32"),
        ],
        name="edge",
    )
