"""A model's predictions in the field, from the log of a device or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from serving import ModelCard
from serving.model_file import ModelFile

UNKNOWN = -1  # the label of an unlabelled prediction


@dataclass(frozen=True)
class Observations:
    """N predictions of one file on one runtime; unlabelled ones have the label UNKNOWN."""

    card: ModelCard
    file: ModelFile
    runtime: str
    names: list[str]
    predicted: Array
    confidence: Array
    labels: Array
    statistics: Array  # (N, S), in the order of serving.inputs.statistic_names
    picture: Callable[[int], Array | None]  # the input of prediction i, if it was logged
    unreadable: list[str]  # one message for each picture that could not be read
    times: Array | None = None  # seconds since 1970 (N,), of a log


def check_target(card: ModelCard) -> None:
    """Raises UserError for a model that does not give one class of several."""
    if card.target != "classes":
        given = "a number" if card.number else "several labels at once"
        raise UserError(f"{card.name} gives {given}; expected a model of one class of several")


def class_index(label: str, card: ModelCard, source: object) -> int:
    if label not in card.class_names:
        raise UserError(
            f"{source} has the label {label!r}, which {card.name} does not know; "
            f"expected one of {', '.join(card.class_names[:20])}"
        )
    return card.class_names.index(label)
