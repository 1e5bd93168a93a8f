"""What is wrong with the validation set: too small, copies of training, another camera."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets import Raw
from pipeline.diagnosis.rules import diagnose
from pipeline.files.artifacts import Array
from pipeline.files.reports.preprocess import Evidence
from pipeline.inputs import pixels
from pipeline.process.words import percent
from pipeline.training import learning_curves
from tests.diagnosis.conftest import SOUND_DATA, table

# images of three classes; with 400 the interval of an accuracy of 90 % is narrow enough
SMALL_VALIDATIONS = [24, 44, 48, 72, 100, 200, 400]
LEARNED_NOTHING = table(
    [1.0986, 1.0991, 1.0985, 1.0987, 1.0986, 1.0985, 1.0986, 1.0986], [0.335, 0.33, 0.34, 0.335]
)
OVERFITTED = table(
    [1.0, 0.6, 0.35, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.008],
    [0.5, 0.7, 0.85, 0.93, 0.97, 0.99, 0.995, 0.999],
    [1.0, 0.75, 0.62, 0.6, 0.66, 0.75, 0.86, 0.95, 1.05, 1.15],
    [0.5, 0.62, 0.7, 0.72, 0.71, 0.7],
)
SOUND = table(
    [1.0, 0.6, 0.4, 0.32, 0.29, 0.28, 0.28, 0.279, 0.28, 0.28],
    [0.5, 0.7, 0.85, 0.9, 0.91],
    None,
    [0.5, 0.7, 0.84, 0.9],
)


@pytest.mark.parametrize(
    ("rows", "verdict", "images"),
    [
        *((LEARNED_NOTHING, "vanishing_gradients", images) for images in SMALL_VALIDATIONS),
        *((OVERFITTED, "overfit", images) for images in SMALL_VALIDATIONS),
        *((SOUND, "good_fit", images) for images in SMALL_VALIDATIONS[:-1]),
    ],
)
def test_a_small_validation_is_a_note_on_the_verdict(
    rows: list[learning_curves.Row], verdict: str, images: int
) -> None:
    diagnosis = diagnose(rows, Evidence(4 * images, images, 0.0, 1.0, 0.5, 1.0))
    assert diagnosis.verdict == verdict
    low, high = diagnosis.numbers["interval_low"], diagnosis.numbers["interval_high"]
    note = (
        f"; note that validation is small: the accuracy of its {images} examples may lie anywhere "
        f"from {percent(low, 1)} to {percent(high, 1)}; "
    )
    assert diagnosis.sentence.startswith(diagnose(rows, SOUND_DATA).sentence + note)


def test_a_large_validation_gets_no_note() -> None:
    assert "validation is" not in diagnose(SOUND, SOUND_DATA).sentence


def parts(raw: Raw, train: int = 2000, validation: int = 500) -> tuple[Array, Array]:
    # shuffled, because MNIST is grouped by writer
    rows = np.random.default_rng(0).permutation(len(raw.train_labels))
    return raw.train_images[rows[:train]], raw.train_images[rows[train : train + validation]]


def test_copies_in_validation_are_found_even_with_noise_on_them(raw_mnist: Raw) -> None:
    train, validation = parts(raw_mnist)
    rng = np.random.default_rng(0)
    noisy = (train[:100] + rng.normal(0, 8, (100, 28, 28, 1))).clip(0, 255).astype(np.uint8)
    evidence = pixels.evidence(train, np.concatenate([noisy, validation[100:]]))
    assert evidence.copied == pytest.approx(0.2, abs=0.03)
    assert evidence.copied_p_value < 1e-10
    assert pixels.evidence(train, validation).copied_p_value > 1e-3


def test_validation_from_another_camera_is_recognized(raw_mnist: Raw) -> None:
    train, validation = parts(raw_mnist)
    assert pixels.evidence(train, (validation * 0.6).astype(np.uint8)).told_apart > 0.9
    assert pixels.evidence(train, validation).told_apart_p_value > 1e-3
