"""What `benchmarks.distillation` trains: a student whose loss knows its teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.files.artifacts import Array

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

IMAGES = np.random.default_rng(0).random((40, 6)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[np.arange(40) % 3]


def network(seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    student = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])
    return keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5, seed=1), student])


def loss(model: Any, images: Array) -> float:
    """Of one step of training, which changes nothing."""
    model.compile(optimizer="SGD", loss="categorical_crossentropy")
    model.optimizer.learning_rate = 0.0
    return float(model.train_on_batch(images, LABELS))


def test_the_loss_of_a_student_grows_by_its_divergence_from_the_teacher() -> None:
    import keras

    from benchmarks.taught import Lesson, Taught

    student, teacher = network(1), network(2)
    images = np.tile(IMAGES[:1], (40, 1))
    taught = Taught(network(1), teacher.layers[-1], Lesson(temperature=2.0, weight=0.75))
    plain = loss(student, images)
    # The dropout of both is the same, so this is the batch that student and teacher saw
    dropped = np.asarray(network(1).layers[0](images, training=True))
    expected, learned = (
        np.asarray(keras.ops.softmax(np.log(np.asarray(model.layers[-1](dropped))) / 2))
        for model in (teacher, student)
    )
    divergence = (expected * np.log(expected / learned)).sum(1).mean()
    assert divergence > 1e-3
    assert loss(taught, images) == pytest.approx(plain + 0.75 / 0.25 * 2**2 * divergence, rel=1e-5)
    # It is measured as any other model, and a checkpoint has the weights of the student alone
    assert taught.test_on_batch(images, LABELS) == pytest.approx(
        student.test_on_batch(images, LABELS)
    )
    assert len(taught.weights) == len(student.weights)


def test_a_student_learns_what_its_teacher_says_and_the_teacher_learns_nothing() -> None:
    from benchmarks.taught import Lesson, Taught

    teacher = network(2).layers[-1]
    before = teacher.get_weights()
    taught = Taught(network(1), teacher, Lesson(temperature=1.0, weight=0.99))
    taught.compile(optimizer="Adam", loss="categorical_crossentropy")
    taught.optimizer.learning_rate = 0.05
    student = taught.layers[-1]

    def distance() -> float:
        return float(np.abs(np.asarray(student(IMAGES)) - np.asarray(teacher(IMAGES))).mean())

    first = distance()
    taught.fit(IMAGES, LABELS, epochs=60, verbose=0)
    assert distance() < first / 4
    assert all(map(np.array_equal, before, teacher.get_weights()))
