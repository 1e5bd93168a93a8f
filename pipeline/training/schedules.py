"""The learning rate over the training: fixed in advance, or lowered where the validation loss stands still."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from pipeline.config.params import KerasObject, Train
from pipeline.process.errors import UserError
from pipeline.training import keras_objects
from pipeline.training.learning_curves import Row, logs

PLATEAU = "ReduceLROnPlateau"


def learning_rate(chosen: Train, highest: float, steps: int) -> Any:
    """The rate, or the schedule over `steps` batches. Raises UserError."""
    warmup = round(chosen.warmup * steps)
    if isinstance(chosen.schedule, KerasObject):
        if warmup:
            raise UserError(
                "train.warmup goes with the schedules cosine and constant alone; allowed with this one is 0"
            )
        return (
            highest
            if chosen.schedule.class_name == PLATEAU
            else keras_schedule(chosen.schedule, highest)
        )
    if chosen.schedule == "constant" and not warmup:
        return highest
    alpha = 1.0 if chosen.schedule == "constant" else 0.0
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(highest, steps, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        highest / 10,
        max(steps - warmup, 1),
        alpha=alpha,
        warmup_target=highest,
        warmup_steps=warmup,
    )


def keras_schedule(schedule: KerasObject, highest: float) -> Any:
    """One of Keras's schedules, from the rate `highest` on where its config names no other."""
    module = keras.optimizers.schedules
    allowed = {
        **keras_objects.classes(module, module.LearningRateSchedule),
        PLATEAU: keras.callbacks.ReduceLROnPlateau,
    }
    found = allowed.get(schedule.class_name, object)
    takes = "initial_learning_rate" in inspect.signature(found).parameters
    return keras_objects.make(
        "train.schedule", schedule, allowed, **({"initial_learning_rate": highest} if takes else {})
    )


def callbacks(chosen: Train, highest: float, rows: list[Row]) -> list[keras.callbacks.Callback]:
    """The callback that lowers the rate, where the schedule is one; `rows` are the epochs already behind."""
    if not isinstance(chosen.schedule, KerasObject) or chosen.schedule.class_name != PLATEAU:
        return []
    return [
        keras_objects.make(
            "train.schedule", chosen.schedule, {PLATEAU: Plateau}, highest=highest, rows=list(rows)
        )
    ]


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's own; what it has seen of an interrupted run it sees again, so that it goes on as if it had never stopped."""

    def __init__(self, highest: float, rows: list[Row], **config: Any) -> None:
        super().__init__(**config)
        self.highest, self.rows = highest, rows

    def on_train_begin(self, _: Any = None) -> None:
        super().on_train_begin()
        self.model.optimizer.learning_rate = self.highest
        for row in self.rows:
            self.on_epoch_end(int(row["epoch"]) - 1, logs(row))
