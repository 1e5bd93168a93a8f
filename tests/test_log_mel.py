"""The front end for sounds: features of whole numbers, near those of exact arithmetic."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from pipeline.files.artifacts import Array
from serving import log_mel
from serving.log_mel import LogMel

# Features of the golden sounds, one after the other
GOLDEN = "200ff7313b076b6932077d24279f84b4be7ef68ce22b799aa7d6c2ca2c4c2d2a"
# Steps of 0.376 dB, for energies of at least LOUD: what is quieter loses its last bits
BOUND, LOUD = 2, 170
FSDD = Path(os.environ.get("DATA_MIRROR", "")) / "fsdd.zip"
FRONT_ENDS = [
    LogMel(),
    LogMel(rate=16000, window=480, hop=160, bands=40),
    LogMel(window=200, hop=80, bands=20),
]


def sounds() -> dict[str, Array]:
    """Golden sounds of integers: the extremes, noise from 1 bit to 16, and a voice-like buzz."""
    random = np.random.default_rng(0)
    time = np.arange(8000)
    pulses = np.where(time % 73 == 0, 20000, 0) * (time % 4000) // 4000
    return {
        "silence": np.zeros(2000, np.int16),
        "lowest": np.full(2000, -(2**15), np.int16),
        "highest": np.full(2000, 2**15 - 1, np.int16),
        "square": np.where(time // 16 % 2, 2**15 - 1, -(2**15)).astype(np.int16),
        "pulses": pulses.astype(np.int16),
        "fading": (random.integers(-(2**15), 2**15, 8000) >> time // 500).astype(np.int16),
        "one window": random.integers(-100, 100, 512).astype(np.int16),
        "too short": random.integers(-100, 100, 100).astype(np.int16),
    }


def test_features_of_golden_sounds_are_always_the_same() -> None:
    features = b"".join(LogMel().features(sound).tobytes() for sound in sounds().values())
    assert hashlib.sha256(features).hexdigest() == GOLDEN


def reference(front_end: LogMel, sound: Array) -> Array:
    """The same in float64 by an FFT, without any rounding or table: steps (T, bands)."""
    angles = 2 * np.pi * np.arange(front_end.window) / front_end.window
    frames = np.lib.stride_tricks.sliding_window_view(sound, front_end.window)[:: front_end.hop]
    spectrum = np.fft.rfft(frames * (0.5 - 0.5 * np.cos(angles)))
    low, high = 1127 * np.log1p(np.array([log_mel.LOW, log_mel.HIGH * front_end.rate]) / 700)
    edges = np.linspace(low, high, front_end.bands + 2)
    edges = 700 * np.expm1(edges / 1127)
    bins = np.fft.rfftfreq(front_end.window, 1 / front_end.rate)
    triangles = [np.interp(bins, edges[at : at + 3], [0, 1, 0]) for at in range(front_end.bands)]
    energies = np.square(np.abs(spectrum)) @ np.transpose(triangles)
    units = 2 * (log_mel.WINDOW_BITS + log_mel.WAVE_BITS - front_end.shift)
    steps: Array = 8 * (np.log2(np.maximum(energies, 1e-9)) + units + log_mel.WEIGHT_BITS)
    return steps


def largest_difference(front_end: LogMel, sound: Array) -> float:
    expected = reference(front_end, sound)
    differences = np.abs(front_end.energies(sound) - expected)
    return float(differences[expected >= LOUD].max(initial=0))


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=["8 kHz", "16 kHz", "20 bands"])
@pytest.mark.parametrize("name", ["pulses", "fading", "one window"])
def test_features_of_golden_sounds_are_near_a_float_reference(front_end: LogMel, name: str) -> None:
    assert 0 < largest_difference(front_end, sounds()[name]) <= BOUND


@pytest.mark.skipif(not FSDD.is_file(), reason="needs fsdd.zip in DATA_MIRROR")
def test_features_of_speech_are_near_a_float_reference_but_for_narrow_bands() -> None:
    with zipfile.ZipFile(FSDD) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav"))[::25]
        recordings = [wavfile.read(io.BytesIO(archive.read(name)))[1] for name in names]
    for front_end in FRONT_ENDS[:2]:
        assert max(largest_difference(front_end, sound) for sound in recordings) <= BOUND
    # The docstring of the module warns of these
    assert max(largest_difference(FRONT_ENDS[2], sound) for sound in recordings) > BOUND


def test_what_is_twice_as_loud_has_the_same_features_within_two_steps() -> None:
    sound = np.random.default_rng(0).integers(-8000, 8000, 8000).astype(np.int16)
    quiet, loud = (LogMel().features(part).astype(int) for part in (sound, 2 * sound))
    assert np.abs(quiet - loud).max() <= 2


def test_a_recording_of_the_same_window_has_the_same_features_wherever_it_was_cut() -> None:
    sound = sounds()["fading"]
    front_end = LogMel()
    start = 5 * front_end.hop
    energies = front_end.energies(sound)
    assert np.array_equal(front_end.energies(sound[start:]), energies[5:])
    assert front_end.features(sound[start:]).max() == log_mel.HIGHEST


def test_noise_alone_is_not_loud_and_silence_is_zero() -> None:
    noise = np.random.default_rng(0).integers(-1, 2, 8000).astype(np.int16)
    assert LogMel().features(noise).max() < log_mel.HIGHEST
    assert LogMel().features(np.zeros(8000, np.int16)).max() == 0
    assert LogMel().features(noise[:100]).shape == (0, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 513}, "window is 513, expected 2 to 512"),
        ({"hop": 0}, "hop is 0, expected 1 to"),
        ({"rate": 0}, "rate is 0, expected 4000 to 48,000"),
        ({"bands": 129}, "bands is 129, expected 1 to 128"),
        ({"bands": 128}, "128 bands are too narrow for a window of 256 samples"),
    ],
)
def test_parameters_without_features_are_refused_in_a_sentence(
    change: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(**change)
