"""One file per dataset, named as in params.yaml: `load(params) -> Raw`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.artifacts import Array


@dataclass(frozen=True)
class Raw:
    """A dataset as it came: images (N, H, W, C) uint8, labels (N,) integers from 0.

    A dataset without a test part of its own has the two test arrays empty (N = 0).
    """

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    class_names: list[str]
    unreadable: list[str] = field(default_factory=list)
