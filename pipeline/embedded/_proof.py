"""The proof of a target that computes in integers: the same bytes, and the gate of verification."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.embedded._verified import VerifiedFile
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.reporting import statistics
from serving import gate


@dataclass(frozen=True)
class Proof:
    """All test images, compared with the trained model by the gate of verification.

    `images_equal_to_micro` of them were compared with TensorFlow Lite Micro.
    """

    state: str
    test_images: int
    accuracy: float
    accuracy_lost_bound: float
    agreement: float
    images_equal_to_micro: int


def prove(model: VerifiedFile, classify: Callable[[Array], Array]) -> Proof:
    """Runs all test images. `classify` gives the probabilities (N, K) of images (N, H, W, C).

    Raises UserError if an output differs from TensorFlow Lite Micro's, or if significantly more
    accuracy is lost than export.max_accuracy_drop allows.
    """
    images, labels = artifacts.load_split("test")
    reference = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    probabilities = on_all_cores(classify, images)
    expected = model.micro.tested
    differing = int((probabilities[: len(expected)] != expected).any(1).sum())
    if differing:
        raise UserError(
            f"its C answers {differing} of {len(expected)} images unlike TensorFlow Lite Micro; "
            "report this fault, and remove the target from embed.targets"
        )
    facts = statistics.compare(probabilities, reference, labels, model.max_accuracy_drop)
    if facts["state"] == gate.WORSE:
        raise UserError(facts["reason"])
    names = ("state", "test_images", "accuracy", "accuracy_lost_bound", "agreement")
    return Proof(**{name: facts[name] for name in names}, images_equal_to_micro=len(expected))


def on_all_cores(classify: Callable[[Array], Array], images: Array) -> Array:
    """The probabilities of images: `classify`, which starts a process, for a part on each core."""
    parts = np.array_split(images, min(os.cpu_count() or 1, len(images)))
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(classify, parts)))
