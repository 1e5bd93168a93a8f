"""A small network that learns from a larger one: distillation (Hinton et al., 2015, 1503.02531).

The teacher sees the very batch that the student sees, shifted as it is, which is what Beyer et al.
(2022, arXiv 2106.05237) found to be the right way. It is what `benchmarks.distillation` measures;
the pipeline has no such training, since it did not pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

LEAST = 1e-30  # of a probability, so that it has a logarithm


@dataclass(frozen=True)
class Lesson:
    """How a teacher teaches: both loosen their answers by the temperature.

    The loss is (1 - weight) * that of the labels + weight * temperature^2 * the divergence of the
    student from the teacher, divided by 1 - weight: the optimizers divide by the size of a gradient
    anyway.
    """

    temperature: float
    weight: float

    def divergence(self, taught: Any, learned: Any) -> Any:
        """The Kullback-Leibler divergence of a batch of probabilities (B, K), times its share."""
        expected = ops.stop_gradient(ops.softmax(logarithm(taught) / self.temperature))
        log_probabilities = ops.log_softmax(logarithm(learned) / self.temperature)
        each = ops.sum(expected * (logarithm(expected) - log_probabilities), axis=-1)
        share = self.weight / (1 - self.weight) * self.temperature**2
        return share * ops.mean(each)


def logarithm(probabilities: Any) -> Any:
    return ops.log(ops.maximum(probabilities, LEAST))


class Taught(keras.Sequential):
    """Layers of augmentation and a student, with the divergence from `teacher` in its loss."""

    def __init__(self, plain: keras.Sequential, teacher: keras.Model, lesson: Lesson) -> None:
        images = plain.inputs[0]
        super().__init__(
            [keras.Input(images.shape[1:], dtype=images.dtype), *plain.layers], name=plain.name
        )
        teacher.trainable = False
        # In a function, Keras does not find its weights, and checkpoints do not hold them
        self.teacher: Callable[[], keras.Model] = lambda: teacher
        self.lesson = lesson

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        *augmentation, student = self.layers
        for layer in augmentation:
            inputs = layer(inputs, training=training)
        outputs = student(inputs, training=training)
        if training:
            answers = self.teacher()(inputs, training=False)
            self.add_loss(self.lesson.divergence(answers, outputs))
        return outputs
