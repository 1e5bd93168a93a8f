"""What is known of a user's data before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Survey:
    """The examples of each part (train, validation, test), and how many of `counts` a class has.

    `size` is the shape of an array. `side` is the median of the shorter sides of the pictures, of
    which `opened` were looked at.
    """

    values: dict[str, object]  # dataset.name, path, other, and labels of a list
    class_names: list[str]
    examples: dict[str, int]
    counts: dict[str, int]  # of each class, in training and validation
    kind: str = "pixels"
    target: str = "classes"
    size: tuple[int, ...] | None = None
    highest: int = 255
    side: int = 0
    colour: bool = False
    opened: int = 0
    group: str | None = None
    groups: int = 0  # how many there are in training and validation; 0: no group is known
    rate: int = 0  # Hz of sounds: one in twenty files has less
    seconds: float = 0.0  # of sounds: one in twenty files is longer
    remarks: list[str] = field(default_factory=list)
