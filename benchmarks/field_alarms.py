"""How often the drift tests raise an alarm.

    python -m benchmarks.field_alarms [--trials 2000] [--format tflite_int8]

Samples of the test distribution show the rate of false alarms, samples with a real shift the power.
Each trial splits the test set at random: one half is the reference, the sample is drawn from the
other. As on a device, the reference comes from the Keras model and the sample from the exported
file.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from pipeline.bundle import drift_reference
from pipeline.config import params
from pipeline.field import drift
from pipeline.field.observations import Observations
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array
from pipeline.targets import classes
from serving import Classifier, inputs

SIZES = (30, 100, 300, 1000, 3000)


def observe(classifier: Classifier, images: Array, labels: Array) -> Observations:
    """What `classifier` would log for images (N, H, W, C) with labels (N,)."""
    probabilities = classifier.predict(images)
    return Observations(
        classifier.card,
        classifier.file,
        classifier.runtime,
        [str(row) for row in range(len(images))],
        probabilities.argmax(1),
        probabilities.max(1),
        labels,
        inputs.statistics(images),
        lambda row: images[row],
        [],
    )


def select(observations: Observations, rows: Array) -> Observations:
    """The observations of the given rows."""
    arrays = {
        name: getattr(observations, name)[rows]
        for name in ("predicted", "confidence", "labels", "statistics")
    }
    names = [observations.names[row] for row in rows]
    return replace(observations, **arrays, names=names)


def alarm_rate(
    original: Observations, probabilities: Array, shifted: Observations, size: int, trials: int
) -> float:
    """The share of trials with an alarm, on samples of `size` rows of `shifted`.

    `original` are the file's observations of the test images, `shifted` those of the same images or
    of changed ones; probabilities (N, K) are those of the Keras model for the test images.
    """
    random, alarms = np.random.default_rng(size), 0
    names = inputs.statistic_names(original.card.input_shape, original.card.input.type)
    level = params.load().field.false_alarms
    for _ in range(trials):
        rows = random.permutation(len(original.labels))
        half, rest = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        statistics = dict(zip(names, original.statistics[half].T, strict=True))
        reference = drift_reference.summarize_statistics(
            classes, statistics, probabilities[half], original.labels[half]
        )
        sample = select(shifted, rest[:size])
        alarms += any(test.alarm for test in drift.judge(sample, reference, level))
    return alarms / trials


def rotated(images: Array, degrees: float) -> Array:
    return np.stack([ndimage.rotate(image, degrees, reshape=False, order=1) for image in images])


def noisy(images: Array, deviation: float) -> Array:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def fashion(_: Array) -> Array:
    """Images of clothes instead of digits."""
    with np.load(Path(os.environ["DATA_MIRROR"]) / "fashion_mnist.npz") as file:
        images: Array = file["x_test"][..., None]
    return images


SHIFTS: dict[str, Callable[[Array], Array]] = {
    "inverted": lambda images: 255 - images,
    "noise, deviation 8": lambda images: noisy(images, 8),
    "a tenth darker": lambda images: (0.9 * images).astype(np.uint8),
    "one pixel to the right": lambda images: np.roll(images, 1, 2),
    "turned by 5 degrees": lambda images: rotated(images, 5),
    "turned by 15 degrees": lambda images: rotated(images, 15),
    "Fashion-MNIST": fashion,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.field_alarms")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument(
        "--format",
        default=None,
        help="the exported file (default: the one that a device would choose)",
    )
    arguments = parser.parse_args()
    classifier = Classifier.load(artifacts.DIST, arguments.format)
    images, labels = (np.asarray(part) for part in split_files.load_split("test"))
    probabilities = np.asarray(artifacts.load_array(artifacts.TEST_PROBABILITIES))
    original = observe(classifier, images, labels)
    print(f"| {classifier.file.format} | {' | '.join(f'{size:,}' for size in SIZES)} |")
    print(f"|---|{'---:|' * len(SIZES)}")

    def print_row(name: str, shifted: Observations, trials: int) -> None:
        rates = [alarm_rate(original, probabilities, shifted, size, trials) for size in SIZES]
        print(f"| {name} | {' | '.join(f'{100 * rate:.1f} %' for rate in rates)} |", flush=True)

    print_row("the test's own", original, arguments.trials)
    for name, shift in SHIFTS.items():
        shifted = observe(classifier, shift(images), labels)
        print_row(name, shifted, max(arguments.trials // 20, 1))


if __name__ == "__main__":
    main()
