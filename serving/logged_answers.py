"""What a prediction log holds of an answer and of the truth, for each target of a model card.

One class of several is its place in class_names, an integer. Several labels at once are a byte for
each name, 1 if it holds, else 0. A number is a float in the unit of the card.
"""

from __future__ import annotations

from typing import Any, List, Optional, Protocol, Sequence, Tuple, Union

import numpy as np

from serving import gate
from serving.errors import InputError
from serving.model_card import ModelCard
from serving.model_file import ModelFile

Label = Union[str, Sequence[str], float]  # the true class, the true labels, or the true number
Stored = Union[int, bytes, float]
NOUNS = {"classes": "class", "labels": "label"}
LARGEST = float(np.finfo(np.float32).max)


class Described(Protocol):
    """A model card, or what a log needs of it."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def class_names(self) -> List[str]: ...


def answers(
    card: ModelCard, file: ModelFile, probabilities: Any
) -> Tuple[Sequence[Stored], Sequence[float]]:
    """The best guess for each row of probabilities (N, K), and the confidence in it.

    That of a number is half the width of its interval; 0 if the file has none.
    """
    if card.target == "number":
        return probabilities[:, 0].tolist(), [file.interval or 0.0] * len(probabilities)
    if card.target == "labels":
        held = gate.holds(probabilities, card.holds_from).astype(np.uint8)
        confidences = gate.least_certain(probabilities, card.holds_from)
        return [row.tobytes() for row in held], confidences.tolist()
    return probabilities.argmax(1).tolist(), probabilities.max(1).tolist()


def truth(label: Label, model: Described) -> Stored:
    """A label as the log holds it. Raises InputError if it is not one of this model."""
    if model.target == "number":
        return _number(label, model)
    if model.target == "labels":
        if isinstance(label, str) or not isinstance(label, Sequence):
            raise InputError(
                f"{model.name} gives several labels at once, and the label is {label!r:.80}; "
                'expected an array of those that hold, such as ["a", "b"], or []'
            )
        places = {_place(name, model) for name in label}
        return bytes(place in places for place in range(len(model.class_names)))
    return _place(label, model)


def _number(label: Label, model: Described) -> float:
    fits = isinstance(label, (int, float)) and abs(label) <= LARGEST  # and no NaN
    if isinstance(label, bool) or not fits:
        raise InputError(
            f"{model.name} gives a number, and the label is {label!r:.80}; expected a number"
        )
    return float(label)  # type: ignore[arg-type]


def _place(label: Any, model: Described) -> int:
    if label not in model.class_names:
        noun, expected = NOUNS[model.target], ", ".join(model.class_names[:20])
        shown = repr(label[:80] if isinstance(label, str) else label)[:82]
        raise InputError(f"{shown} is not a {noun} of {model.name}; expected one of {expected}")
    return model.class_names.index(label)


def is_right(predicted: Stored, true: Stored, confidence: float, target: str) -> Optional[bool]:
    """Whether an answer is right: all labels are, or the interval of the number holds the truth.

    None of a number without an interval.
    """
    if target != "number":
        return predicted == true
    return abs(float(predicted) - float(true)) <= confidence if confidence else None
