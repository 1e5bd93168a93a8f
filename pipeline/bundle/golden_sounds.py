"""Golden recordings: made-up sounds with the exact features of each.

A device checks its front end by them, and they show what another language must compute.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from pipeline.files.artifacts import Array, Description
from serving import sound
from serving.log_mel import LogMel
from serving.model_card import ModelCard

LOUDEST = 2**15 - 1


def write(bundle: Path, card: ModelCard, data: Description, images: Array) -> None:
    """Writes recordings/ into the bundle: <name>.wav, and as bytes its <name>.features."""
    front_end = card.preprocessing.sound
    assert front_end is not None  # as the kind of input is sounds
    folder = bundle / sound.RECORDINGS
    folder.mkdir()
    count = front_end.samples(card.input_shape[0])
    for name, samples in recordings(front_end, count).items():
        save(folder / f"{name}.wav", samples, front_end.rate)
        features = sound.read(folder / f"{name}.wav", name, card)
        (folder / f"{name}.features").write_bytes(features.tobytes())


def recordings(front_end: LogMel, count: int) -> dict[str, Array]:
    """Sounds (S,) int16: a voice-like buzz, the extremes, and noise that fades from 16 bits to 1.

    One is shorter than `count` and one longer, as words are.
    """
    random = np.random.default_rng(0)
    time = np.arange(count)
    period = front_end.rate // 110
    buzz = np.where(time % period == 0, 20_000, 0) * (count - time) // count
    noise = random.integers(-(2**15), 2**15, 2 * count) >> np.arange(2 * count) * 15 // (2 * count)
    sounds = {
        "buzz": np.convolve(buzz, [8, 6, 4, 2, 1])[:count] // 8,
        "silence": np.zeros(count),
        "square": np.where(time // 16 % 2, LOUDEST, -LOUDEST - 1),
        "fading-noise-that-is-cut": noise,
        "click-that-is-padded": np.array([0, LOUDEST, -LOUDEST - 1, 1]),
    }
    return {name: samples.astype(np.int16) for name, samples in sounds.items()}


def save(path: Path, samples: Array, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
