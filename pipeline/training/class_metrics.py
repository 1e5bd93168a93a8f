"""Metrics of an epoch in which every class counts the same, for `train.keep`.

They are those of serving/metric.py, in operations of Keras; a test compares them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

PREFIX = "validation_"
NAMES = ("balanced_accuracy", "macro_f1")
KEEP = tuple(f"{PREFIX}{name}" for name in NAMES)  # of train.keep


def to_keep(keep: str, classes: int) -> list[keras.Metric]:
    """The metric that `keep` names, if it is one of these."""
    name = keep.removeprefix(PREFIX)
    return [ClassMetric(name, classes)] if name in NAMES else []


class ClassMetric(keras.metrics.Metric):
    """The mean over the classes that occur of their recall or F1, without weights."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__(name=name)
        self.classes = classes
        self.counts = self.add_variable((3, classes), "zeros", name="counts")

    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (B,), (B, 1) or one-hot (B, K), and outputs (B, K)."""
        if len(labels.shape) > 1 and labels.shape[-1] == self.classes:
            labels = ops.argmax(labels, -1)
        true, given = (
            ops.one_hot(ops.cast(ops.reshape(part, (-1,)), "int32"), self.classes, dtype="float32")
            for part in (labels, ops.argmax(outputs, -1))
        )
        counts = [ops.sum(part, 0) for part in (true, given, true * given)]
        self.counts.assign(self.counts + ops.stack(counts))

    def result(self) -> Any:
        images, given, right = self.counts[0], self.counts[1], self.counts[2]
        whole = images if self.name == "balanced_accuracy" else (images + given) / 2
        present = ops.cast(images > 0, "float32")
        scores = present * right / ops.maximum(whole, 0.5)
        return ops.sum(scores) / ops.maximum(ops.sum(present), 1.0)
