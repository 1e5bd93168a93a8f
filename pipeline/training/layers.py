"""The layer that turns ids into a multi-hot row; every stage that loads a model imports it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("pipeline")
class MultiHot(keras.layers.Layer):
    """Ids (N, L) from 1 to `highest`, zero-padded -> (N, highest): 1 where an id occurs, else 0.

    It scatters, which every runtime but TensorFlow Lite Micro supports, and which needs memory for
    one row of the result. Keras's CategoryEncoding needs L rows, or an operator that TensorFlow
    Lite lacks.
    """

    def __init__(self, highest: int, **options: Any) -> None:
        super().__init__(**options)
        self.highest = highest

    def call(self, ids: Any) -> Any:
        ids = ops.cast(ids, "int32")
        count = ops.shape(ids)[0]
        column = ops.expand_dims(ops.arange(count, dtype="int32"), 1)
        rows = ops.broadcast_to(column, ops.shape(ids))
        places = ops.reshape(ops.stack([rows, ids], -1), (-1, 2))
        counts = ops.scatter(places, ops.ones_like(places[:, 0]), (count, self.highest + 1))
        return ops.cast(ops.minimum(counts[:, 1:], 1), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        return input_shape[0], self.highest

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "highest": self.highest}
