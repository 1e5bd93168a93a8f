"""The networks that a recipe tries, by what the data are."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.planning.data import Survey

PHOTO = 48  # pixels of a side
LARGE = 96  # pixels of a side, from which published networks take photos


@dataclass(frozen=True)
class Network:
    """An architecture, and the sides of the pictures that it takes; None for arrays."""

    architecture: str
    side: int | None
    reason: str
    is_backbone: bool = False


BACKBONE = Network(
    "efficientnet_lite0",
    128,
    "it has learned from a million photos, so a few hundred of yours go a long way",
    is_backbone=True,
)
SMALL_BACKBONE = Network(
    "mobilenet_v1",
    LARGE,
    "it has learned from a million photos, and is small enough for a microcontroller",
    is_backbone=True,
)


OTHERS = {  # kinds of input
    "sounds": Network("ds_cnn", None, "a small network for spoken words and other short sounds"),
    "series": Network("series_cnn", None, "convolutions along time, for series"),
    "ids": Network("multi_hot", None, "a dense network on the ids of each example"),
}


def backbone(data: Survey, board: str | None) -> Network | None:
    """The published network for such photos; None for others and for small ones."""
    if data.kind != "pixels" or data.size or data.side < LARGE:
        return None
    return SMALL_BACKBONE if board else BACKBONE


def candidates(data: Survey, board: str | None, has_weights: bool) -> list[Network]:
    """What to try, the most accurate first; only a board needs more than one."""
    if data.kind in OTHERS:
        return [OTHERS[data.kind]]
    if data.size:
        own = [Network("edge", None, "a small network for images of this size")]
        return [*own, Network("tiny", None, f"edge does not fit {board}")] if board else own
    side = min(PHOTO, data.side)
    edge = Network("edge", side, "a small network, trained from scratch")
    published = backbone(data, board) if has_weights else None
    first = [published] if published else []
    if board:
        smaller = min(32, side)
        return [
            *first,
            edge,
            Network("tiny", side, f"edge does not fit {board}"),
            Network("tiny", smaller, f"more pixels do not fit {board}"),
        ]
    return first or [edge]
