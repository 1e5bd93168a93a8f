"""One file per kind of target, named as in data/prepared/description.json: classes, labels, ...

Each module is a `Target`: whatever depends on the prediction target is there. What all targets
share is in _scores.py: an answer is right or wrong, so accuracy, gates, paired tests and search are
the same for all. Two things are elsewhere: the layer that gives the outputs is in
architectures/_layers.py, so that a change here trains nothing again, and what a device must know
is in serving.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from pipeline.files.artifacts import Array, Description
from pipeline.inputs import Baselined


@dataclass(frozen=True)
class Counts:
    """For each of K classes or labels: the examples that have it, that are given it, and both."""

    images: Array
    predicted: Array
    right: Array


class Target(Baselined, Protocol):
    """What a module of this folder defines.

    Labels are an array (N, ...) with an entry for each example, answers are of the same shape.
    Outputs are the model's: (N, K) float32, one for each name in the description.

    The constants are literals: `pipeline.config.parts.declared` reads them without an import, for
    `train`, which shall not run again whenever a target changes.
    """

    OUTPUTS: tuple[str, ...]  # train.network.output that fits; the first is the default
    LOSSES: tuple[str, ...]  # train.loss that fits; empty for any
    EMBEDDED: bool  # whether the targets without Python take it
    ANSWER: str  # in the model card: how the outputs become an answer

    def check(self, labels: Array, description: Description, part: str) -> None:
        """Raises UserError for labels from which nothing can be learned."""

    def strata(self, labels: Array) -> Array:
        """A number (N,) for each example; a stratified split has each number in proportion."""

    def answers(self, outputs: Array) -> Array: ...

    def right(self, answers: Array, labels: Array) -> Array:
        """Whether each answer is right: (N,) bool."""

    def losses(self, outputs: Array, labels: Array) -> Array:
        """The cross-entropy of each example (N,)."""

    def counts(self, answers: Array, labels: Array, number: int) -> Counts:
        """The counts of each of `number` classes or labels."""

    def confidences(self, outputs: Array) -> Array:
        """The probability (N,) of each answer."""

    def margins(self, outputs: Array) -> Array:
        """How far each output is from another answer: (N,), 0 on a decision boundary."""

    def confused(self, answers: Array, labels: Array) -> tuple[Array, Array]:
        """Pairs (M,), (M,) of a class or label, and of the one that was given in its place."""

    def words(self, answer: Array, names: Sequence[str]) -> str:
        """An answer, or the label of one example, in words."""


@cache
def target(name: str) -> Target:
    """The target with this name."""
    return cast(Target, importlib.import_module(f"pipeline.targets.{name}"))
