"""Sounds as pictures: int16 samples to the logarithms of the energies in bands, uint8 (T, bands).

Every operation is one on integers below 2**53, so that NumPy (in float64, with its fast matrix
product), C (in int64) and JavaScript (in its only numbers) agree to the bit. One step of a feature
is an eighth of a doubling of the energy: 0.376 dB.

Against exact arithmetic, energies of at least 170 steps are off by about 2 steps at most, with the
default bands and FSDD's 3,000 recordings. That is no bound for all bands: a weight is off by up to
2**-8, so a narrow band beside a much louder bin can be off by more. With 20 bands and a window of
200 samples it was 19 steps. Quieter energies lose their last bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError

LONGEST = 512  # samples of a window: sums of longer ones could exceed 2**53
WINDOW_BITS, WAVE_BITS, WEIGHT_BITS = 15, 14, 7
AMPLITUDE_BITS = 22  # of an amplitude, so that 128 times the energy of all bins is below 2**53
STEPS = 8  # of a logarithm, for each doubling of the energy
MANTISSA_BITS = 6
HIGHEST = 255  # the feature of what is as loud as the level


@dataclass(frozen=True)
class LogMel:
    """The parameters, in samples and Hz. Raises UserError for those that have no features.

    The level is the loudest band so far. It falls by `decay` steps a frame, and never below
    `quietest`, so that noise alone is not loud. It looks only back, so a stream can have it.
    """

    rate: int = 8000
    window: int = 256
    hop: int = 128
    bands: int = 32
    low: int = 60
    high: int = 3800
    decay: int = 1
    quietest: int = 200

    def __post_init__(self) -> None:
        if not 2 <= self.window <= LONGEST:
            raise UserError(f"window is {self.window} samples; expected 2 to {LONGEST}")
        if self.hop < 1 or self.bands < 1:
            raise UserError(f"hop is {self.hop} and bands {self.bands}; expected at least 1 each")
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise UserError(
                f"bands from {self.low} to {self.high} Hz at a rate of {self.rate} Hz; expected "
                "low below high, and high at most half the rate"
            )
        if empty := np.flatnonzero(~self.weights.any(0)).tolist():
            raise UserError(
                f"{self.bands} bands are too narrow for a window of {self.window} samples: "
                f"band {empty[0]} is empty; expected fewer bands or a longer window"
            )

    @cached_property
    def hann(self) -> Array:
        """The window (N,), in 2**-15."""
        angles = 2 * np.pi * np.arange(self.window) / self.window
        return _rounded((0.5 - 0.5 * np.cos(angles)) * (2**WINDOW_BITS - 1))

    @cached_property
    def wave(self) -> Array:
        """One period of a cosine (N,), in 2**-14."""
        angles = 2 * np.pi * np.arange(self.window) / self.window
        return _rounded(np.cos(angles) * 2**WAVE_BITS)

    @cached_property
    def sine(self) -> Array:
        """One period of a sine (N,), in 2**-14."""
        angles = 2 * np.pi * np.arange(self.window) / self.window
        return _rounded(np.sin(angles) * 2**WAVE_BITS)

    @cached_property
    def weights(self) -> Array:
        """The share of each bin in each band (bins, bands), in 2**-7: triangles on the mel scale.

        The scale is 2595 log10(1 + f / 700), as in HTK.
        """
        edges = np.linspace(_mel(self.low), _mel(self.high), self.bands + 2)
        edges = 700 * (10 ** (edges / 2595) - 1)
        bins = np.arange(self.window // 2 + 1)[:, None] * self.rate / self.window
        left, centre, right = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
        return _rounded(np.clip(np.minimum(rising, falling), 0, 1) * 2**WEIGHT_BITS)

    @cached_property
    def logarithms(self) -> Array:
        """Of the mantissas 1 to 2, at the centres of equal parts."""
        parts = 2**MANTISSA_BITS
        return _rounded(STEPS * np.log2(1 + (np.arange(parts) + 0.5) / parts))

    @property
    def shift(self) -> int:
        """The bits that an amplitude loses."""
        largest = 15 + WINDOW_BITS + WAVE_BITS - 1 + math.ceil(math.log2(self.window))
        return largest - AMPLITUDE_BITS

    def features(self, samples: Array) -> Array:
        """Samples (S,) int16 -> features (T, bands) uint8, 255 at the level; T may be 0."""
        energies = self.energies(samples)
        features, level = np.empty(energies.shape, np.uint8), self.quietest
        for row, frame in zip(features, energies, strict=True):
            level = max(level - self.decay, self.quietest, int(frame.max()))
            row[:] = np.clip(frame - level + HIGHEST, 0, HIGHEST)
        return features

    def energies(self, samples: Array) -> Array:
        """Samples (S,) int16 -> logarithms of energies (T, bands) int64, in steps from 0."""
        samples = np.asarray(samples)
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise UserError(
                f"sound is {samples.dtype} of shape {samples.shape}; expected int16 of shape (S,)"
            )
        if len(samples) < self.window:
            return np.zeros((0, self.bands), np.int64)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.hop]
        windowed = frames * self.hann.astype(np.float64)
        amplitudes = [
            np.floor(np.abs(windowed @ waves) / 2**self.shift) for waves in self._transform
        ]
        bins = sum(np.square(amplitude) for amplitude in amplitudes)
        return self._logarithm(bins @ self.weights.astype(np.float64))

    @cached_property
    def _transform(self) -> tuple[Array, Array]:
        """The cosines and sines of each bin: (N, bins) float64."""
        turns = np.outer(np.arange(self.window), np.arange(self.window // 2 + 1)) % self.window
        return self.wave[turns].astype(np.float64), self.sine[turns].astype(np.float64)

    def _logarithm(self, energies: Array) -> Array:
        mantissas, exponents = np.frexp(energies)  # 0.5 to 1
        parts = np.floor(mantissas * 2 ** (MANTISSA_BITS + 1)).astype(np.int64) - 2**MANTISSA_BITS
        logarithms = STEPS * (exponents - 1) + self.logarithms[np.maximum(parts, 0)]
        result: Array = np.where(energies > 0, logarithms, 0).astype(np.int64)
        return result


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def _rounded(values: Array) -> Array:
    result: Array = np.rint(values).astype(np.int64)
    return result
