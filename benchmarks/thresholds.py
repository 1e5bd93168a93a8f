"""Several labels: what thresholds chosen on the validation set change on a test set.

    python -m benchmarks.thresholds

Trains a small network on pairs of MNIST digits, with three seeds for each case: as many pairs with
each digit, and uneven ones, in which each digit is 0.65 times as frequent as the one before it.
Each rule picks the thresholds on a validation set of a fifth of the training pairs; 10,000 other
pairs, of the same frequencies, are the test. Prints a table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import params
from pipeline.datasets import mnist
from pipeline.files.artifacts import Array
from pipeline.process.words import percent
from pipeline.reporting.tables import table
from pipeline.targets import _thresholds, labels
from pipeline.targets._per_class import per_class
from serving.gate import THRESHOLD

SEEDS = 3
TESTS = 10_000
UNEVEN = 0.65  # the frequency of each digit, of that of the digit before it
# The frequencies of the digits, training pairs, and epochs
CASES = {
    "even, hardly trained": (1.0, 600, 15),
    "even": (1.0, 3000, 8),
    "even, well trained": (1.0, 20_000, 8),
    "uneven, hardly trained": (UNEVEN, 600, 15),
    "uneven": (UNEVEN, 3000, 8),
}
COLUMNS = ("pairs", "trained on", "fewest positives", "rule", "macro F1", "micro F1", "exact match")

Rule = Callable[[Array, Array], Sequence[float]]


def best_f1(probabilities: Array, true: Array) -> list[float]:
    """The threshold of each label that is best in validation, however few examples it has."""
    best = []
    for column, positives in zip(probabilities.T, true.T, strict=True):
        thresholds, right, wrong = _thresholds.candidates(column, positives)
        f1 = 2 * right / np.maximum(right + wrong + positives.sum(), 1)
        best.append(float(thresholds[f1.argmax()]))
    return best


RULES: dict[str, Rule] = {
    "0.5": lambda probabilities, true: [THRESHOLD] * true.shape[1],
    "best F1 in validation": best_f1,
    "within one standard error": _thresholds.choose,
}


@dataclass(frozen=True)
class Trained:
    """Probabilities and labels (N, 10) of validation and test."""

    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def drawn(
    digits: tuple[Array, Array], weights: Array, count: int, random: np.random.Generator
) -> tuple[Array, Array]:
    """Pairs (count, 28, 56, 1) of digits at random by these weights, and labels (count, 10)."""
    images, classes = digits
    shares = (weights / np.bincount(classes, minlength=10))[classes]
    left, right = random.choice(len(classes), (2, count), p=shares / shares.sum())
    present = np.eye(10, dtype=np.int64)
    beside = np.concatenate([images[left], images[right]], axis=2)
    return beside, present[classes[left]] | present[classes[right]]


def train(digits: tuple[Array, Array], case: tuple[float, int, int], seed: int) -> Trained:
    import keras
    from keras import layers

    ratio, count, epochs = case
    random, weights = np.random.default_rng(seed), ratio ** np.arange(10)
    parts = np.split(random.permutation(len(digits[1])), [40_000, 50_000])
    training, validation, test = (
        drawn((digits[0][rows], digits[1][rows]), weights, size, random)
        for rows, size in zip(parts, (count, max(count // 5, 200), TESTS), strict=True)
    )
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((28, 56, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    model.fit(*training, batch_size=32, epochs=epochs, verbose=0)
    outputs = [model.predict(images, verbose=0) for images, _ in (validation, test)]
    return Trained((outputs[0], validation[1]), (outputs[1], test[1]))


def scores(trained: Trained, rule: Rule) -> list[float]:
    """Macro F1, micro F1 and exact match on the test set."""
    outputs, true = trained.test
    answers = labels.answers(outputs, list(rule(*trained.validation)))
    counts = labels.counts(answers, true, 10)
    macro = np.mean([score.f1 for score in per_class(counts, list("0123456789")).values()])
    micro = 2 * counts.right.sum() / (counts.images + counts.predicted).sum()
    return [float(macro), float(micro), float(labels.right(answers, true).mean())]


def rows(name: str, digits: tuple[Array, Array]) -> list[tuple[str, ...]]:
    case = CASES[name]
    runs = [train(digits, case, seed) for seed in range(SEEDS)]
    fewest = min(int(run.validation[1].sum(0).min()) for run in runs)
    result = []
    for rule, choose in RULES.items():
        figures = np.array([scores(run, choose) for run in runs])
        cells = [
            f"{percent(column.mean(), 1)} ({100 * column.min():.1f} to {100 * column.max():.1f})"
            for column in figures.T
        ]
        result.append((name, f"{case[1]:,}", str(fewest), rule, *cells))
    return result


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.thresholds").parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    raw = mnist.load(params.load().dataset)
    digits = (
        np.concatenate([raw.train_images, raw.test_images]),
        np.concatenate([raw.train_labels, raw.test_labels]),
    )
    print(f"{SEEDS * len(CASES)} small trainings, which take about three minutes", flush=True)
    print(table(COLUMNS, [row for name in CASES for row in rows(name, digits)]))


if __name__ == "__main__":
    main()
