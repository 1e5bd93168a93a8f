"""How many words does a bundle of spoken digits miss in a stream, and how many does it make up?

    python -m benchmarks.listening BUNDLE [--draft] [--speaker nicolas]

It makes three tracks of FSDD, from DATA_MIRROR, which are always the same: all recordings of the
speaker, who must not be in the training set, in random order with pauses of 1 to 3 seconds and
noise all over; half an hour of noise alone, louder and softer; and the recordings backwards, with
the same pauses and noise. The noise has the spectrum of the other speakers' voices.

A word is heard if `serving listen` prints its class for a window with its middle. If it prints
nothing or another class there, that is a false reject. Every line that belongs to no word is a
false accept, and so is the second line for a word. A class that is not a digit is not a word.
Intervals are exact: those of Clopper and Pearson for shares, and of Garwood (1936) for rates.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from pipeline.datasets import fsdd
from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.reporting import tables
from serving import Bundle, Classifier, gate, listening, sound
from serving.listening import Listener, Word
from serving.log_mel import LogMel

RATE = LogMel().rate
SHORTEST, LONGEST = 1.0, 3.0  # seconds of a pause
SIGNAL_TO_NOISE = 30  # dB
NOISE_SECONDS, PIECE = 1800, 60
THRESHOLDS = (0.5, 0.7, 0.8, 0.9)
COLUMNS = ("threshold", "false rejects", "false accepts an hour")


@dataclass(frozen=True)
class Recording:
    digit: int
    speaker: str
    samples: Array  # (S,) int16


@dataclass(frozen=True)
class Track:
    """Samples (S,) int16, and of each word in them the sample in its middle and its digit."""

    samples: Array
    words: list[tuple[int, int]]


def recordings() -> list[Recording]:
    result = []
    for name, data in fsdd.published().items():
        digit, speaker, _ = name.split("_")
        result.append(Recording(int(digit), speaker, sound.samples(data, name, RATE, 60 * RATE)))
    return result


def noise(voices: list[Recording], count: int, dice: np.random.Generator) -> Array:
    """Samples (S,) float64 with the mean spectrum of the voices, and a mean square of 1."""
    power = np.mean([np.abs(np.fft.rfft(voice.samples, RATE)) ** 2 for voice in voices], axis=0)
    places = np.linspace(0, len(power) - 1, PIECE * RATE // 2 + 1)
    shape = np.sqrt(np.interp(places, np.arange(len(power)), power))
    pieces = [
        np.fft.irfft(np.fft.rfft(dice.normal(size=PIECE * RATE)) * shape)
        for _ in range(-(-count // (PIECE * RATE)))
    ]
    samples = np.concatenate(pieces)[:count]
    result: Array = samples / np.sqrt(np.mean(samples**2))
    return result


def loudness(spoken: list[Recording]) -> float:
    """The root mean square of all samples."""
    return float(np.sqrt(np.mean(np.concatenate([word.samples for word in spoken]) ** 2.0)))


def as_int16(samples: Array) -> Array:
    return np.clip(np.rint(samples), -(2**15), 2**15 - 1).astype(np.int16)


def with_pauses(
    spoken: list[Recording], others: list[Recording], dice: np.random.Generator
) -> Track:
    pieces, words, at = [], [], 0
    for word in spoken:
        pause = int(dice.uniform(SHORTEST, LONGEST) * RATE)
        words.append((at + pause + len(word.samples) // 2, word.digit))
        pieces += [np.zeros(pause), word.samples]
        at += pause + len(word.samples)
    soft = loudness(spoken) / 10 ** (SIGNAL_TO_NOISE / 20)
    return Track(as_int16(np.concatenate(pieces) + soft * noise(others, at, dice)), words)


def alone(spoken: list[Recording], others: list[Recording], dice: np.random.Generator) -> Track:
    """Noise from as loud as speech to 40 dB below, and back within a minute."""
    count = NOISE_SECONDS * RATE
    decibels = 20 * (1 - np.cos(2 * np.pi * np.arange(count) / (PIECE * RATE)))
    level = loudness(spoken) * 10 ** (-decibels / 20)
    return Track(as_int16(level * noise(others, count, dice)), [])


def tracks(speaker: str) -> dict[str, Track]:
    everything, dice = recordings(), np.random.default_rng(0)
    own = [recording for recording in everything if recording.speaker == speaker]
    others = [recording for recording in everything if recording.speaker != speaker]
    if not own:
        known = ", ".join(sorted({recording.speaker for recording in everything}))
        raise SystemExit(f"there is no speaker {speaker}; expected one of {known}")
    spoken = [own[index] for index in dice.permutation(len(own))]
    backwards = [replace(word, samples=word.samples[::-1]) for word in spoken]
    return {
        "words": with_pauses(spoken, others, dice),
        "noise": alone(spoken, others, dice),
        "words backwards": replace(with_pauses(backwards, others, dice), words=[]),
    }


def judged(track: Track, heard: list[Word], length: int) -> tuple[int, int]:
    """False rejects and false accepts; windows have `length` samples."""
    left, rejects = list(heard), 0
    for middle, digit in track.words:
        near = [word for word in left if word.start <= middle < word.start + length]
        right = [word for word in near if word.number == digit]
        rejects += not right
        for word in (right or near)[:1]:
            left.remove(word)
    return rejects, len(left)


def share(count: int, total: int) -> str:
    if not total:
        return ""
    low, high = gate.accuracy_interval(count, total)
    return f"{percent(count / total, 1)} ({percent(low, 1)} to {percent(high, 1)})"


def rate(count: int, hours: float) -> str:
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    return f"{count / hours:.0f} ({low / hours:.0f} to {high / hours:.0f})"


def rows(classifier: Classifier, listener: Listener, track: Track) -> list[list[str]]:
    """A row of the table for each threshold."""
    others = [index for index, name in enumerate(classifier.card.class_names) if len(name) > 1]
    answers = listening.without(others, classifier.file.answers)
    means = list(listener.means([track.samples], classifier.predict))
    length, hours = listener.front_end.samples(listener.frames), len(track.samples) / RATE / 3600
    result = []
    for threshold in THRESHOLDS:
        strict = replace(listener, threshold=threshold)
        heard = list(strict.peaks(means, answers))
        rejects, accepts = judged(track, heard, length)
        result.append([str(threshold), share(rejects, len(track.words)), rate(accepts, hours)])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--draft", action="store_true", help="accept a bundle that is not proven")
    parser.add_argument("--speaker", default="nicolas", help="default %(default)s")
    parser.add_argument("--format", default="tflite_int8", help="default %(default)s")
    parser.add_argument("--hop", type=int, help="frames from one window to the next")
    parser.add_argument("--smoothing", type=int, help="windows whose mean is taken")
    arguments = parser.parse_args()
    classifier = Classifier.load(Bundle(arguments.bundle, draft=arguments.draft), arguments.format)
    front_end = classifier.card.preprocessing.sound
    assert front_end is not None
    listener = Listener.by_default(front_end, classifier.card.input_shape[0])
    listener = replace(
        listener,
        hop=arguments.hop or listener.hop,
        smoothing=arguments.smoothing or listener.smoothing,
    )
    for name, track in tracks(arguments.speaker).items():
        minutes = len(track.samples) / RATE / 60
        print(f"{name}: {minutes:.0f} minutes, {len(track.words)} words\n", flush=True)
        print(tables.table(COLUMNS, rows(classifier, listener, track)), "\n", flush=True)


if __name__ == "__main__":
    main()
