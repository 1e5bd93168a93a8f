"""FSDD as a microphone hears it in a room: a folder of sounds to train a model for streams.

    python -m benchmarks.noisy_digits FOLDER

FSDD's recordings are cut to the word, and the model sees digital silence after it. In a room it
never does. This writes train/, val/ and test/ with a folder for each digit: the recording within
the first 0.4 s of a second of noise, 10 to 40 dB softer than the word. The class `other` holds
noise of all levels, and such seconds with the beginning or the end of a word, as sliding windows
have them. Speakers stay apart as in the benchmark of the clean recordings: nicolas is the test set.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np

from benchmarks.listening import RATE, Recording, as_int16, loudness, noise, recordings
from pipeline.files.artifacts import Array

PARTS = {"nicolas": "test", "yweweler": "val"}  # the others are for training
COPIES = {"train": 2, "val": 1, "test": 1}
LATEST = 0.4  # seconds before a word
SOFTEST, LOUDEST = 40, 10  # dB below the word
OTHER = "other"
SHOWN = 0.35  # at most this share of a word is in a second that holds no word


def placed(word: Array, at: int) -> Array:
    """A second (RATE,) with the word from sample `at`, which may be negative."""
    second = np.zeros(RATE)
    part = word[max(-at, 0) : max(RATE - at, 0)]
    begin = max(at, 0)
    second[begin : begin + len(part)] = part[: RATE - begin]
    return second


def in_noise(second: Array, level: float, background: Array, dice: np.random.Generator) -> Array:
    start = int(dice.integers(0, len(background) - RATE))
    softer = 10 ** (-dice.uniform(LOUDEST, SOFTEST) / 20)
    return as_int16(second + level * softer * background[start : start + RATE])


def beside(word: Array, dice: np.random.Generator) -> int:
    """Where a word begins of which a second holds only the beginning or the end, or nothing."""
    shown = int(dice.uniform(0, SHOWN) * len(word))
    return RATE - shown if dice.integers(0, 2) else shown - len(word)


def save(path: Path, samples: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def write(folder: Path, everything: list[Recording]) -> None:
    dice = np.random.default_rng(0)
    voices = [row for row in everything if row.speaker not in PARTS]
    background = noise(voices, 600 * RATE, dice)
    for number, recording in enumerate(everything):
        part, word = PARTS.get(recording.speaker, "train"), recording.samples.astype(float)
        level = loudness([recording])
        name = f"{recording.speaker}_{number}"
        for copy in range(COPIES[part]):
            second = placed(word, int(dice.uniform(0, LATEST) * RATE))
            path = folder / part / str(recording.digit) / f"{name}_{copy}.wav"
            save(path, in_noise(second, level, background, dice))
        if number % 3 == 0:
            second = placed(word, beside(word, dice))
            save(folder / part / OTHER / f"{name}.wav", in_noise(second, level, background, dice))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write(folder, recordings())
    print(f"{folder}: {len(list(folder.rglob('*.wav')))} sounds")


if __name__ == "__main__":
    main()
