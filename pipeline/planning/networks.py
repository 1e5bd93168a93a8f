"""The networks that a recipe tries; the kind of the input says which."""

from __future__ import annotations

from dataclasses import dataclass

LARGE = 96  # pixels of a side, from which published networks take photos


@dataclass(frozen=True)
class Candidate:
    """An architecture, and the sides of the pictures that it takes; None for arrays."""

    architecture: str
    side: int | None
    reason: str
    is_backbone: bool = False


BACKBONE = Candidate(
    "efficientnet_lite0",
    128,
    "it has learned from a million photos, so a few hundred of yours go a long way",
    is_backbone=True,
)
SMALL_BACKBONE = Candidate(
    "mobilenet_v1",
    LARGE,
    "it has learned from a million photos, and is small enough for a microcontroller",
    is_backbone=True,
)
