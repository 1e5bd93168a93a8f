"""Training for int8, `train.quantization_aware`: its epochs, and what does not go with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PART = 4  # the last quarter of the epochs trains with the rounding of int8


def epochs(total: int) -> int:
    """How many of `total` epochs, the last ones, round."""
    return max(1, total // PART)


def check(train: Mapping[str, Any]) -> None:
    """Raises ValueError if values of the section `train` do not go with it."""
    wanted: dict[str, tuple[Any, Any]] = {
        "patience": (train["patience"], None),
        "thaw": (train["thaw"], []),
        "network.drop_connect": (train["network"]["drop_connect"] or None, None),
        "precision": (train["precision"], "float32"),
    }
    for key, (value, expected) in wanted.items():
        if value != expected:
            raise ValueError(
                f"{key} is {value}, and the last epochs train for int8; expected "
                f"{'null' if expected is None else expected}, or quantization_aware: false"
            )
    if train["epochs"] < 2:
        raise ValueError(
            f"epochs is {train['epochs']}, and the last ones train for int8; expected at least 2"
        )
