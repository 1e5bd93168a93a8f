"""How Keras computes in a rank: with all others, on parts of a batch, or alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


def share_batches() -> None:
    """From now on variables are the same in all ranks, which must all set them, in one order.

    Each of them gives its part of a batch to `fit`. `clear_session` ends that.
    """
    devices = keras.distribution.list_devices()
    shared = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    keras.distribution.set_distribution(shared)


@contextmanager
def alone() -> Iterator[None]:
    """Variables that the block makes belong to this process alone, such as those of a save."""
    shared = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(shared)
