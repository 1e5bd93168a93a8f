"""Training in several processes, `train.processes`: what they must be able to share."""

from __future__ import annotations


def check_batch(count: int, batch_size: int | str) -> None:
    """Raises ValueError if `count` processes cannot share a batch; a full one is cut to fit."""
    if isinstance(batch_size, int) and batch_size % count:
        raise ValueError(
            f"batch_size is {batch_size}, and {count} processes share a batch; "
            f"expected a multiple of {count}"
        )
