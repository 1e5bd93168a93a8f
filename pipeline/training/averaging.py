"""The moving averages of the weights that any Keras optimizer keeps with `use_ema: true`, in the place of the weights.

Keras itself puts them there when `fit` ends. Here they are what is validated and kept after every epoch, so that the best
epoch is one of the averages, and the training goes on from the weights themselves (Polyak and Juditsky, 1992,
"Acceleration of stochastic approximation by averaging").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """The compiled model has its averages while the block runs, and afterwards its weights again, to the last bit.

    An optimizer without averages leaves the weights as they are.
    """
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.optimizer.finalize_variable_values(model.trainable_weights)
    try:
        yield
    finally:
        for weight, value in zip(model.trainable_weights, weights, strict=True):
            weight.assign(value)


class ValidatesAverages(keras.callbacks.Callback):
    """The validation of every epoch is that of the averages, since these are kept.

    Keras's own `SwapEMAWeights` swaps by adding and subtracting, which changes the last bits of the weights.
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
