"""A small convolution network for devices: 49,386 parameters and 1.9 million multiplications for 28 x 28 grey images.

Few filters where the feature maps are large and more where pooling has made them small keep both the time of an epoch and
the memory of a microcontroller low. Batch normalization is folded into the convolutions on export; the first one goes
without, since on the largest maps it would cost a sixth of an epoch and bring nothing. Its average moves fast (momentum
0.9), because the schedule is short.
"""

from __future__ import annotations

import keras
from keras import layers


def block(filters: int, padding: str) -> list[keras.Layer]:
    return [layers.Conv2D(filters, 3, padding=padding, use_bias=False), layers.BatchNormalization(momentum=0.9), layers.ReLU()]


def build(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    padding = "valid" if min(input_shape[:2]) >= 28 else "same"  # four unpadded convolutions leave nothing of a smaller image
    return keras.Sequential(
        [
            keras.Input(input_shape, name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding=padding, activation="relu"),
            layers.MaxPooling2D(),
            *block(32, padding),
            *block(48, padding),
            layers.MaxPooling2D(),
            *block(64, padding),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(num_classes, activation="softmax", name="probabilities", dtype="float32"),
        ],
        name="edge",
    )
