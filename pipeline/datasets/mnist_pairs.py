"""Two digits of MNIST beside each other, 28 x 56: which of the ten are there? Several labels.

Every digit of MNIST is used once. A pair of the same digit has a single label.
"""

from __future__ import annotations

import numpy as np

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, mnist
from pipeline.files.artifacts import Array


def load(params: Dataset) -> Raw:
    digits = mnist.load(params)
    train = pairs(digits.train_images, digits.train_labels)
    test = pairs(digits.test_images, digits.test_labels)
    return Raw(*train, *test, digits.class_names, target="labels")


def pairs(images: Array, labels: Array) -> tuple[Array, Array]:
    """Pairs of images (N, H, W, C) at random -> (N // 2, H, 2 W, C), and labels (N // 2, 10)."""
    left, right = np.random.default_rng(0).permutation(len(labels)).reshape(2, -1)
    present = np.eye(10, dtype=np.int64)
    beside = np.concatenate([images[left], images[right]], axis=2)
    return beside, present[labels[left]] | present[labels[right]]
