"""Augmentation of sounds: another voice, another microphone, another room.

The layers change log-mel features (N, T, bands, 1), which are 0 to 255: 255 is the loudest band of
the recording, and 0 is 64 dB below it. Steps are in decibels, so what a microphone multiplies is
added here, and noise is added to the energies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

HIGHEST = 255.0
STEPS = HIGHEST / 64  # of a feature, in a decibel
NEPERS = math.log(10) / 10 / STEPS  # of an energy, in a step of a feature
FLUCTUATION = 4.0  # dB, of the energy of noise in a band and a frame


class RandomVoice(keras.layers.Layer):
    """Another speaker: words of another speed and other tones, which begin a little later.

    `speed` is the range of the factor on the speed, whose logarithm is uniform. `tone` is the
    largest logarithm of the factor on the mel scale, as of a vocal tract of another length (Jaitly
    and Hinton, 2013, "Vocal Tract Length Perturbation"). `later` is the largest delay,
    as a share of the recording. A word keeps its beginning. Raises ValueError for other values.
    """

    KIND = "sounds"

    def __init__(
        self,
        speed: Sequence[float] = (0.75, 1.35),
        tone: float = 0.12,
        later: float = 0.1,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if len(speed) != 2 or not 0 < speed[0] <= speed[1]:
            raise ValueError(f"speed is {speed}; expected two numbers above 0, the lower one first")
        for name, value in (("tone", tone), ("later", later)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}; expected at least 0 and below 1")
        self.speed, self.tone, self.later = tuple(speed), tone, later
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return inputs
        features = ops.cast(inputs, self.compute_dtype)
        speed = ops.exp(self._uniform(features, *map(math.log, self.speed)))
        tone = ops.exp(self._uniform(features, -self.tone, self.tone))
        delay = self._uniform(features, 0, self.later * inputs.shape[1])
        none = ops.zeros_like(delay)
        # Keras's order: where the pixel (x, y) of the output comes from; x is the band, y the time.
        moves = ops.stack([tone, none, none, none, speed, -speed * delay, none, none], 1)
        return ops.image.affine_transform(features, moves, fill_mode="constant", fill_value=0)

    def _uniform(self, features: Any, low: float, high: float) -> Any:
        shape = (ops.shape(features)[0],)
        return keras.random.uniform(shape, low, high, seed=self.seed_generator)


class RandomMicrophone(keras.layers.Layer):
    """Another microphone in another room: it hears some tones better, and noise beside the sound.

    `response` is the standard deviation in dB of each of four smooth curves over the bands: a slope
    and three halves of a wave. `noise` is the range of the level of the noise in dB below the
    loudest band, 0 or more; 64 and more is none. Raises ValueError for other values.
    """

    KIND = "sounds"

    def __init__(
        self,
        response: float = 3.0,
        noise: Sequence[float] = (40.0, 74.0),
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not response >= 0:
            raise ValueError(f"response is {response}; expected at least 0 dB")
        if len(noise) != 2 or not 0 <= noise[0] <= noise[1]:
            raise ValueError(f"noise is {noise}; expected two levels in dB, the louder one first")
        self.response, self.noise = response, tuple(noise)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return inputs
        features = ops.cast(inputs, "float32")
        heard = features + self._response(features)
        heard = heard + loudest(features) - loudest(heard)
        result = energies_added(heard, self._noise(features))
        return ops.cast(ops.clip(result, 0, HIGHEST), self.compute_dtype)

    def _response(self, features: Any) -> Any:
        """Of each band, in steps (N, 1, bands, 1)."""
        place = np.linspace(-1, 1, features.shape[2], dtype=np.float32)
        waves = [np.cos(math.pi * place), np.sin(math.pi * place), np.cos(2 * math.pi * place)]
        curves = np.stack([place, *waves])
        shape = (ops.shape(features)[0], len(curves))
        deviation = self.response * STEPS
        weights = keras.random.normal(shape, stddev=deviation, seed=self.seed_generator)
        return ops.matmul(weights, curves)[:, None, :, None]

    def _noise(self, features: Any) -> Any:
        """Its level in each band and frame, in steps (N, T, bands, 1)."""
        shape = (ops.shape(features)[0], 1, 1, 1)
        below = keras.random.uniform(shape, *self.noise, seed=self.seed_generator)
        deviation = FLUCTUATION * STEPS
        fluctuation = keras.random.normal(
            ops.shape(features), stddev=deviation, seed=self.seed_generator
        )
        return loudest(features) - below * STEPS + fluctuation


def loudest(features: Any) -> Any:
    """The level of the loudest band of each recording, which is low in one of near silence."""
    return ops.max(features, axis=(1, 2, 3), keepdims=True)


def energies_added(first: Any, second: Any) -> Any:
    """The level of two sounds at a time, all in steps."""
    louder, difference = ops.maximum(first, second), ops.abs(first - second)
    return louder + ops.log1p(ops.exp(-NEPERS * difference)) / NEPERS
