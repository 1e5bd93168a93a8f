"""The learning rate over a training: fixed in advance, or lowered on a validation plateau."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from pipeline.config.params import KerasObject, Train
from pipeline.process.errors import UserError
from pipeline.training import keras_objects
from pipeline.training.learning_curves import EPOCH, Row, logs

PLATEAU = "ReduceLROnPlateau"


def learning_rate(params: Train, highest: float, steps: int) -> Any:
    """The rate, or the schedule over `steps` batches. Raises UserError."""
    warmup = round(params.warmup * steps)
    if isinstance(params.schedule, KerasObject):
        if warmup:
            raise UserError(
                f"train.warmup is {params.warmup:g}, which only the schedules cosine and constant "
                f"support; expected 0 with {params.schedule.class_name}"
            )
        if params.schedule.class_name == PLATEAU:
            return highest
        return keras_schedule(params.schedule, highest)
    if params.schedule == "constant" and not warmup:
        return highest
    alpha = 1.0 if params.schedule == "constant" else 0.0
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
    """A Keras schedule; it starts at `highest` unless its config says otherwise."""
    module = keras.optimizers.schedules
    kinds = {
        **keras_objects.classes(module, module.LearningRateSchedule),
        PLATEAU: keras.callbacks.ReduceLROnPlateau,  # so that the error lists it
    }
    kind = kinds.get(schedule.class_name, object)
    has_initial = "initial_learning_rate" in inspect.signature(kind).parameters
    defaults = {"initial_learning_rate": highest} if has_initial else {}
    return keras_objects.make("train.schedule", schedule, kinds, **defaults)


def callbacks(params: Train, highest: float, rows: list[Row]) -> list[keras.callbacks.Callback]:
    """The callback of ReduceLROnPlateau, if that is the schedule; `rows` are the epochs so far."""
    if not isinstance(params.schedule, KerasObject) or params.schedule.class_name != PLATEAU:
        return []
    kinds: dict[str, type] = {PLATEAU: Plateau}
    defaults = {"highest": highest, "rows": list(rows)}
    return [keras_objects.make("train.schedule", params.schedule, kinds, **defaults)]


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's callback, which replays the epochs of an interrupted run to resume its state."""

    def __init__(self, highest: float, rows: list[Row], **config: Any) -> None:
        super().__init__(**config)
        self.highest, self.rows = highest, rows

    def on_train_begin(self, _: Any = None) -> None:
        super().on_train_begin()
        self.model.optimizer.learning_rate = self.highest
        for row in self.rows:
            self.on_epoch_end(int(row[EPOCH]) - 1, logs(row))
