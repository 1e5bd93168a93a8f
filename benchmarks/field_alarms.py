"""How often the drift tests raise an alarm: on fresh samples of the test distribution, where each is false, and on real shifts.

    python -m benchmarks.field_alarms [--trials 2000] [--format tflite_int8]

Each trial divides the test set anew at random: one half makes the reference, the sample is drawn from the other. The
reference is what the Keras model said, the sample what the exported file says, as it is with a device.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from pipeline.bundle import drift_reference
from pipeline.config import params
from pipeline.field import judge
from pipeline.field.observations import Observations
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from serving import Classifier, input_statistics

SIZES = (30, 100, 300, 1000, 3000)


def observe(classifier: Classifier, images: Array, labels: Array) -> Observations:
    """What `classifier` would have logged of images (N, H, W, C), with labels (N,)."""
    probabilities = classifier.predict(images)
    names = [str(row) for row in range(len(images))]
    predicted, confidence, statistics = (
        probabilities.argmax(1),
        probabilities.max(1),
        input_statistics.compute(images),
    )
    return Observations(
        classifier.card,
        classifier.file,
        classifier.runtime,
        names,
        predicted,
        confidence,
        labels,
        statistics,
        lambda row: images[row],
        [],
    )


def some(observed: Observations, rows: Array) -> Observations:
    """Those rows alone."""
    return Observations(
        **{
            **observed.__dict__,
            **{
                name: getattr(observed, name)[rows]
                for name in ("predicted", "confidence", "labels", "statistics")
            },
            "names": [observed.names[row] for row in rows],
        }
    )


def rate(
    own: Observations, probabilities: Array, shifted: Observations, size: int, trials: int
) -> float:
    """The share of trials with an alarm, on samples of `shifted`: the test images (N) themselves, or each of them changed.

    `own` is what the file says to the test images, probabilities (N, K) what the trained model said.
    """
    random, alarms = np.random.default_rng(size), 0
    names = input_statistics.names(own.card.input_shape, own.card.input.type)
    level = params.load().field.false_alarms
    for _ in range(trials):
        rows = random.permutation(len(own.labels))
        half, rest = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        expected = drift_reference.summary(
            own.statistics[half], names, probabilities[half], own.labels[half]
        )
        drawn = some(shifted, rest[:size])
        alarms += any(test["alarm"] for test in judge.drift(drawn, expected, level))
    return alarms / trials


def rotated(images: Array, degrees: float) -> Array:
    return np.stack([ndimage.rotate(image, degrees, reshape=False, order=1) for image in images])


def noisy(images: Array, deviation: float) -> Array:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


SHIFTS: dict[str, Callable[[Array], Array]] = {
    "inverted": lambda images: 255 - images,
    "noise, deviation 8": lambda images: noisy(images, 8),
    "a tenth darker": lambda images: (0.9 * images).astype(np.uint8),
    "one pixel to the right": lambda images: np.roll(images, 1, 2),
    "turned by 5 degrees": lambda images: rotated(images, 5),
    "turned by 15 degrees": lambda images: rotated(images, 15),
    "Fashion-MNIST": lambda images: np.load(Path(os.environ["DATA_MIRROR"]) / "fashion_mnist.npz")[
        "x_test"
    ][..., None],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.field_alarms")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument(
        "--format",
        default=None,
        help="the exported file; default: the one that a device would choose",
    )
    arguments = parser.parse_args()
    classifier = Classifier.load(artifacts.DIST, arguments.format)
    images, labels = (np.asarray(part) for part in artifacts.load_split("test"))
    probabilities = np.asarray(artifacts.load_array(artifacts.TEST_PROBABILITIES))
    own = observe(classifier, images, labels)
    print(
        f"| {classifier.file.format} | {' | '.join(f'{size:,}' for size in SIZES)} |\n|---|{'---:|' * len(SIZES)}"
    )
    for name, observed, trials in [
        ("the test's own", own, arguments.trials),
        *(
            (name, observe(classifier, shift(images), labels), max(arguments.trials // 20, 1))
            for name, shift in SHIFTS.items()
        ),
    ]:
        found = [rate(own, probabilities, observed, size, trials) for size in SIZES]
        print(f"| {name} | {' | '.join(f'{100 * value:.1f} %' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
