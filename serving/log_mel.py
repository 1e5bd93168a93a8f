"""Sounds as pictures: int16 samples to the logarithms of the energies in bands, uint8 (T, bands).

Every operation is one on integers below 2**53, which float64 holds exactly. So the features are
equal to the bit on every processor, and C and JavaScript can give the same. A step of an energy is
an eighth of a doubling, 0.376 dB. Two steps are three of a feature, so that 64 dB below the loudest
band everything is 0, the noise of a room as much as the padding of a short recording.

Against exact arithmetic, energies of at least 170 steps are off by about 2 steps at most, with the
default bands and FSDD's 3,000 recordings. That is no bound for all bands: a weight is off by up to
2**-8, so a narrow band beside a much louder bin can be off by more. With 20 bands and a window of
200 samples it was 19 steps. Quieter energies lose their last bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Tuple

import numpy as np

from serving.typed_json import expect

LOWEST_RATE, HIGHEST_RATE = 4000, 48000  # Hz
LONGEST = 512  # samples of a window: sums of longer ones could exceed 2**53
MOST_BANDS = 128
WINDOW_BITS, WAVE_BITS, WEIGHT_BITS = 15, 14, 7
AMPLITUDE_BITS = 22  # of an amplitude, so that 128 times the energy of all bins is below 2**53
STEPS = 8  # of a logarithm, for each doubling of the energy
MANTISSA_BITS = 6
HIGHEST = 255  # the feature of the loudest band
QUIETEST = 200  # steps: the least level, so that noise alone is not loud
LOW, HIGH = 60, 0.475  # where bands begin, in Hz, and end, as a share of the rate


@dataclass(frozen=True)
class LogMel:
    """The parameters, in Hz and samples. Raises ValueError for those that have no features.

    The level is that of the loudest band in the recording. A stream takes that of the window that
    is classified, so nothing is needed that came before it.
    """

    rate: int = 8000
    window: int = 256
    hop: int = 128
    bands: int = 32

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rate", LOWEST_RATE, HIGHEST_RATE),
            ("window", 2, LONGEST),
            ("hop", 1, HIGHEST_RATE),
            ("bands", 1, MOST_BANDS),
        ):
            value = getattr(self, name)
            expect(low <= value <= high, f"{name} is {value}, expected {low} to {high:,}")
        empty = np.flatnonzero(~self.weights.any(0)).tolist()
        expect(
            not empty,
            f"{self.bands} bands are too narrow for a window of {self.window} samples, "
            "expected fewer bands or a longer window",
        )

    def samples(self, frames: int) -> int:
        """How many samples have this many frames."""
        return self.window + (frames - 1) * self.hop

    def frames(self, samples: int) -> int:
        """How many whole windows are in this many samples."""
        return max((samples - self.window) // self.hop + 1, 0)

    @cached_property
    def hann(self) -> Any:
        """The window (N,), in 2**-15."""
        return _rounded((0.5 - 0.5 * np.cos(self._angles)) * (2**WINDOW_BITS - 1))

    @property
    def _angles(self) -> Any:
        return 2 * np.pi * np.arange(self.window) / self.window

    @cached_property
    def weights(self) -> Any:
        """The share of each bin in each band (bins, bands), in 2**-7: triangles on the mel scale.

        The scale is 2595 log10(1 + f / 700), as in HTK.
        """
        edges = np.linspace(_mel(LOW), _mel(HIGH * self.rate), self.bands + 2)
        edges = 700 * (10 ** (edges / 2595) - 1)
        bins = np.arange(self.window // 2 + 1)[:, None] * self.rate / self.window
        left, centre, right = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
        return _rounded(np.clip(np.minimum(rising, falling), 0, 1) * 2**WEIGHT_BITS)

    @cached_property
    def logarithms(self) -> Any:
        """Of the mantissas 1 to 2, at the centres of equal parts."""
        parts = 2**MANTISSA_BITS
        return _rounded(STEPS * np.log2(1 + (np.arange(parts) + 0.5) / parts))

    @property
    def shift(self) -> int:
        """The bits that an amplitude loses."""
        largest = 15 + WINDOW_BITS + WAVE_BITS - 1 + math.ceil(math.log2(self.window))
        return largest - AMPLITUDE_BITS

    def features(self, samples: Any) -> Any:
        """Samples (S,) int16 -> features (T, bands) uint8, 255 at the level; T may be 0."""
        energies = self.energies(samples)
        level = max(QUIETEST, int(energies.max(initial=0)))
        below = level - energies
        return np.maximum(HIGHEST - (below + below // 2), 0).astype(np.uint8)

    def image(self, recording: Any, frames: int) -> Any:
        """The features (frames, bands, 1) of samples (S,) int16, cut or zero-padded."""
        count = self.samples(frames)
        padded = np.pad(recording[:count], (0, max(count - len(recording), 0)))
        return self.features(padded)[..., None]

    def energies(self, samples: Any) -> Any:
        """Samples (S,) int16 -> logarithms of energies (T, bands) int64, in steps from 0."""
        count = self.frames(len(samples))
        starts = np.arange(count)[:, None] * self.hop + np.arange(self.window)
        windowed = samples[starts] * self.hann.astype(np.float64)
        amplitudes = [
            np.floor(np.abs(windowed @ waves) / 2**self.shift) for waves in self._transform
        ]
        bins = np.square(amplitudes[0]) + np.square(amplitudes[1])
        return self._logarithm(bins @ self.weights.astype(np.float64))

    @cached_property
    def _transform(self) -> Tuple[Any, Any]:
        """The cosines and sines of each bin: (N, bins) float64, whole numbers in 2**-14."""
        turns = np.outer(np.arange(self.window), np.arange(self.window // 2 + 1)) % self.window
        cosine, sine = self.waves
        return cosine[turns].astype(np.float64), sine[turns].astype(np.float64)

    @property
    def waves(self) -> Tuple[Any, Any]:
        """A turn of the cosine and of the sine (N,), in 2**-14."""
        cosine, sine = (_rounded(wave(self._angles) * 2**WAVE_BITS) for wave in (np.cos, np.sin))
        return cosine, sine

    def _logarithm(self, energies: Any) -> Any:
        mantissas, exponents = np.frexp(energies)  # 0.5 to 1
        parts = np.floor(mantissas * 2 ** (MANTISSA_BITS + 1)).astype(np.int64) - 2**MANTISSA_BITS
        logarithms = STEPS * (exponents - 1) + self.logarithms[np.maximum(parts, 0)]
        return np.where(energies > 0, logarithms, 0).astype(np.int64)


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def _rounded(values: Any) -> Any:
    return np.rint(values).astype(np.int64)
