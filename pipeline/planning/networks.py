"""The networks that a recipe tries, by what the data are."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.planning.data import Survey

PHOTO, PRETRAINED = 48, 128  # pixels of a side
BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True)
class Network:
    """An architecture, and the sides of the pictures that it takes; None for arrays."""

    architecture: str
    side: int | None
    reason: str

    @property
    def is_backbone(self) -> bool:
        return self.architecture == BACKBONE


OTHERS = {  # kinds of input
    "sounds": Network("ds_cnn", None, "a small network for spoken words and other short sounds"),
    "series": Network("series_cnn", None, "convolutions along time, for series"),
    "ids": Network("multi_hot", None, "a dense network on the ids of each example"),
}


def candidates(data: Survey, board: str | None, has_weights: bool) -> list[Network]:
    """What to try, the most accurate first; only a board needs more than one."""
    if data.kind in OTHERS:
        return [OTHERS[data.kind]]
    if data.size:
        own = [Network("edge", None, "a small network for images of this size")]
        return [*own, Network("tiny", None, f"edge does not fit {board}")] if board else own
    side = min(PHOTO, data.side)
    edge = Network("edge", side, "a small network, trained from scratch")
    if board:
        smaller = min(32, side)
        return [
            edge,
            Network("tiny", side, f"edge does not fit {board}"),
            Network("tiny", smaller, f"more pixels do not fit {board}"),
        ]
    if data.side >= 96 and has_weights and data.target == "classes":
        reason = "it has learned from a million photos, so a few hundred of yours go a long way"
        return [Network(BACKBONE, PRETRAINED, reason)]
    return [edge]
