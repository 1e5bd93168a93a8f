"""Classes with so few examples that adding some helps more than changing the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.process.words import counted, verb
from pipeline.reporting.statistics import expected_interval
from pipeline.reporting.tables import listed

FEWEST = 20  # examples of a class, below which its own figures mean little
FEW = "classes_of_few_examples"  # a diagnosis has this number if it notes them


def with_few(
    diagnosis: Diagnosis, train: Mapping[str, int], validation: Mapping[str, int]
) -> Diagnosis:
    """The diagnosis with a note on the classes of few examples, if there are any."""
    note = sentence(train, validation)
    if note is None:
        return diagnosis
    numbers = {**diagnosis.numbers, FEW: len(rarest(train, validation))}
    return replace(diagnosis, numbers=numbers, sentence=f"{diagnosis.sentence}; note that {note}")


def rarest(train: Mapping[str, int], validation: Mapping[str, int]) -> list[str]:
    """The classes with fewer than FEWEST examples in both sets, the rarest first."""
    counts = {name: train[name] + validation[name] for name in train}
    return sorted((name for name in counts if counts[name] < FEWEST), key=lambda name: counts[name])


def sentence(train: Mapping[str, int], validation: Mapping[str, int]) -> str | None:
    """What the few examples of the rarest class leave open, and how many more would do.

    The intervals are those of the best case: all validation examples are recognized. None if no
    class has few.
    """
    names = rarest(train, validation)
    if not names:
        return None
    name, *others = names
    few = validation[name]
    share = sum(validation.values()) / (sum(train.values()) + sum(validation.values()))
    more = math.ceil((FEWEST - few) / share)
    have = verb(len(others), "has", "have")
    too = f"; {listed(others)} {have} few examples, too" if others else ""
    return (
        f"{name!r} has only {train[name]} training and {counted(few, 'validation example')}: even "
        f"if the model recognizes {verb(few, 'it', f'all {few}')}, the recall of {name!r} may "
        f"lie anywhere from {expected_interval(1, few)}, so collect more of it before you change "
        f"the network; about {more} more would put {FEWEST} into validation, which narrows that "
        f"to {expected_interval(1, FEWEST)}{too}"
    )
