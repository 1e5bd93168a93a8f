"""Moving averages of the weights, which any Keras optimizer keeps with `use_ema: true`.

Keras itself swaps them in when `fit` ends. Here they are validated and saved after every epoch, so
the best epoch is one of the averages, and training continues from the weights themselves (Polyak
and Juditsky, 1992, "Acceleration of stochastic approximation by averaging").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within the block the compiled model has its averages; afterwards the exact weights again.

    An optimizer without averages leaves the weights as they are.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.optimizer.finalize_variable_values(model.trainable_weights)
    if keras.backend.backend() == "jax":
        # Copies: the optimizer's own arrays would be used up by the validation
        for weight in model.trainable_weights:
            weight.assign(keras.ops.convert_to_numpy(weight))
    try:
        yield
    finally:
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)


class ValidatesAverages(keras.callbacks.Callback):
    """Validates the averages after every epoch, since they are what is saved.

    Keras's own `SwapEMAWeights` swaps by adding and subtracting, which changes the last bits of
    the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self._validation: AbstractContextManager[None] | None = None

    def on_test_begin(self, logs: Any = None) -> None:
        self._validation = averaged(self.model)
        self._validation.__enter__()

    def on_test_end(self, logs: Any = None) -> None:
        if self._validation is not None:
            self._validation.__exit__(None, None, None)
            self._validation = None
