"""The trainings of the corpus: those with a fault that is made on purpose, and healthy ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.files.artifacts import Array

Split = tuple[Array, Array]


def dense(*units: int, activation: str = "relu", **options: Any) -> Callable[[], list[keras.Layer]]:
    return lambda: [
        layers.Flatten(),
        *[layers.Dense(count, activation=activation, **options) for count in units],
    ]


def dropped(*units: int, rate: float) -> Callable[[], list[keras.Layer]]:
    return lambda: [
        layers.Flatten(),
        *[
            layer
            for count in units
            for layer in (layers.Dense(count, activation="relu"), layers.Dropout(rate))
        ],
    ]


def convolution(normalized: bool) -> Callable[[], list[keras.Layer]]:
    def build() -> list[keras.Layer]:
        blocks: list[keras.Layer] = []
        for filters in (8, 16):
            normalization = [layers.BatchNormalization(momentum=0.9)] if normalized else []
            blocks += [
                layers.Conv2D(filters, 3, use_bias=not normalized),
                *normalization,
                layers.ReLU(),
                layers.MaxPooling2D(),
            ]
        return [*blocks, layers.Flatten(), layers.Dropout(0.3)]

    return build


@dataclass(frozen=True)
class Case:
    """A training; `train` and `validation` are counts of images, `change` alters validation."""

    hidden: Callable[[], list[keras.Layer]] = field(default_factory=lambda: dense(64))
    optimizer: str = "Adam"
    learning_rate: float = 1e-3
    cosine: bool = False
    epochs: int = 20
    patience: int | None = None
    train: int = 3000
    validation: int = 1000
    noisy_labels: float = 0.0
    change: Callable[[np.random.Generator, Split, Split], Split] = lambda rng, train, validation: (
        validation
    )


def leaked(rng: np.random.Generator, train: Split, validation: Split) -> Split:
    """A part of validation repeats training images, in half of the cases with a little noise."""
    share, count = rng.uniform(0.3, 1.0), len(validation[1])
    rows = rng.integers(0, len(train[1]), count)
    copies = train[0][rows].astype(float) + rng.normal(0, rng.choice([0, 6]), (count, 28, 28, 1))
    leak = rng.random(count) < share
    images = np.where(
        leak[:, None, None, None], copies.clip(0, 255).astype(np.uint8), validation[0]
    )
    return images, np.where(leak, train[1][rows], validation[1])


def shifted(rng: np.random.Generator, train: Split, validation: Split) -> Split:
    """Validation comes from another camera: darker, moved, noisy or inverted."""
    images, labels = validation
    kind = rng.integers(4)
    if kind == 0:
        return (images * 0.4).astype(np.uint8), labels
    if kind == 1:
        return np.roll(images, (3, 3), (1, 2)), labels
    if kind == 2:
        return (images + rng.normal(0, 80, images.shape)).clip(0, 255).astype(np.uint8), labels
    return 255 - images, labels


def minus(value: float) -> keras.initializers.Initializer:
    return keras.initializers.Constant(-value)


def normal(deviation: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=deviation)


# Two variants of each, chosen by the seed.
CASES: dict[str, list[Case]] = {
    "too_little_capacity": [
        Case(dense(2, activation="tanh"), epochs=40, learning_rate=5e-3),
        Case(dense(3, 3, activation="tanh"), epochs=40, learning_rate=5e-3),
    ],
    "stopped_early": [
        Case(dense(128), "SGD", 0.02, epochs=4),
        Case(dense(64, 64), learning_rate=3e-4, epochs=4, train=2000),
    ],
    "too_much_capacity": [
        Case(dense(512, 256), epochs=60, train=400),
        Case(dense(1024), epochs=60, train=600),
    ],
    "learning_rate_too_high": [
        Case(dense(128, 64), "SGD", 8.0),
        Case(dense(128, 64), learning_rate=0.5),
    ],
    "learning_rate_too_low": [Case(dense(128), "SGD", 3e-4), Case(dense(64), learning_rate=1e-5)],
    "noisy_labels": [
        Case(dense(512), epochs=40, noisy_labels=0.3, train=2000),
        Case(dense(256, 128), epochs=30, noisy_labels=0.4),
    ],
    "leaked_validation": [
        Case(dense(256), change=leaked),
        Case(convolution(normalized=True), cosine=True, epochs=12, change=leaked),
    ],
    "shifted_validation": [
        Case(dense(128), change=shifted),
        Case(convolution(normalized=True), cosine=True, epochs=12, change=shifted),
    ],
    "tiny_validation": [
        Case(dense(64), validation=20),
        Case(dropped(128, rate=0.3), validation=40),
    ],
    "dead_relus": [
        Case(dense(128, 64, bias_initializer=minus(8.0)), learning_rate=1e-4),
        Case(dense(64, 64, 64, bias_initializer=minus(4.0)), "SGD", 0.01),
    ],
    "saturated_start": [
        Case(dense(128, 128, activation="tanh", kernel_initializer=normal(1.0))),
        Case(dense(128, 64, 64, kernel_initializer=normal(1.0)), "SGD", 1e-4),
    ],
    "vanishing_gradients": [
        Case(dense(*[32] * 8, activation="sigmoid")),
        Case(dense(*[64] * 6, activation="sigmoid"), "SGD", 0.1),
    ],
    "healthy_dropout": [
        Case(dropped(128, rate=0.4), cosine=True, train=6000),
        Case(dropped(64, 64, rate=0.3), cosine=True, train=8000),
    ],
    "healthy_convolution": [
        Case(convolution(normalized=True), cosine=True, epochs=12, train=6000, learning_rate=5e-3)
    ],
    "healthy_plain_convolution": [
        Case(convolution(normalized=False), cosine=True, epochs=15, train=6000, learning_rate=2e-3)
    ],
    "healthy_patient": [
        Case(dense(64), epochs=60, patience=3, train=6000),
        Case(dense(32, 32), epochs=60, patience=3, train=8000),
    ],
    "healthy_decayed": [
        Case(
            dense(64, kernel_regularizer=keras.regularizers.L2(1e-3)),
            cosine=True,
            epochs=25,
            train=8000,
        ),
        Case(dense(32), "SGD", 0.1, cosine=True, epochs=30, train=8000),
    ],
}
HEALTHY = tuple(kind for kind in CASES if kind.startswith("healthy"))
