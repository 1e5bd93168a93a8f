"""One file per kind of target, named as in data/prepared/description.json: classes, labels, ...

Each module is a `Target`: whatever depends on the prediction target is there. How good the answers
are is a `Scoring`, which targets share: in _scores.py an answer is right or wrong, so accuracy,
gates, paired tests and search are the same for all such targets; in _errors.py it has an error in a
unit. Two things are elsewhere: the layer that gives the outputs is in architectures/_layers.py, so
that a change here trains nothing again, and what a device must know is in serving.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from pipeline.config.parts import declared, is_number, one_class_each
from pipeline.config.problem import ACCURACY
from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.inputs import Baselined
from pipeline.process.errors import UserError

if TYPE_CHECKING:
    from pipeline.files.reports.baseline import BaselineScore, ErrorScore
    from pipeline.files.reports.evaluate import Evaluation
    from pipeline.reporting.measure import Judged
    from serving.model_card import ModelCard


@dataclass(frozen=True)
class Counts:
    """For each of K classes or labels: the examples that have it, that are given it, and both."""

    images: Array
    predicted: Array
    right: Array

    def contents(self, names: Sequence[str]) -> dict[str, Any]:
        """The figures of a split whose labels these are the counts of."""
        return {"per_class": dict(zip(names, self.images.tolist(), strict=True))}


# Of several labels at once, the least probability with which each holds; None for 0.5, and for
# other targets
Thresholds = Sequence[float] | None


@dataclass(frozen=True)
class Goal:
    """What problem.metric must reach; of a number it is the error that the model may have.

    The model's answers follow from `holds_from`.
    """

    value: float
    metric: str = ACCURACY
    holds_from: Thresholds = None


class Target(Baselined, Protocol):
    """What a module of this folder defines.

    Labels are an array (N, ...) with an entry for each example, answers are of the same shape.
    Outputs are the model's: (N, K) float32, one for each name in the description.

    The constants are literals: `pipeline.config.parts.declared` reads them without an import, for
    `train`, which shall not run again whenever a target changes.
    """

    OUTPUTS: tuple[str, ...]  # train.network.output that fits; the first is the default
    LOSSES: tuple[str, ...]  # train.loss that fits; empty for any
    SCORING: str  # the module of this folder that scores its answers, a `Scoring`
    ONE_CLASS_EACH: bool  # whether an example has one class of several
    IS_NUMBER: bool  # whether the answer is a number, in problem.unit
    ANSWER: str  # in the model card: how the outputs become an answer

    def check(self, labels: Array, description: Description, part: str) -> None:
        """Raises UserError for labels from which nothing can be learned."""

    def contents(self, labels: Array, names: Sequence[str]) -> dict[str, Any]:
        """The figures of the labels of a split for reports/preprocess.json."""

    def random(self, rng: np.random.Generator, count: int, number: int) -> Array:
        """Labels (N, ...) of `count` made-up examples, to measure what a training costs."""

    def strata(self, labels: Array) -> Array:
        """A number (N,) for each example; a stratified split has each number in proportion."""

    def answers(self, outputs: Array, holds_from: Thresholds = None) -> Array: ...

    def margins(self, outputs: Array, holds_from: Thresholds = None) -> Array:
        """How far each output is from where files differ most: (N,), 0 on a decision boundary."""

    def losses(self, outputs: Array, labels: Array) -> Array:
        """The loss of each example (N,): the cross-entropy, or of a number its squared error."""

    def words(self, answer: Array, names: Sequence[str]) -> str:
        """An answer, or the label of one example, in words."""


class Recognition(Target, Protocol):
    """A target whose answers are right or wrong, as `_scores` takes it."""

    RIGHT: str  # what the share of right answers is called in the field

    def right(self, answers: Array, labels: Array) -> Array:
        """Whether each answer is right: (N,) bool."""

    def counts(self, answers: Array, labels: Array, number: int) -> Counts:
        """The counts of each of `number` classes or labels."""

    def confidences(self, outputs: Array, holds_from: Thresholds = None) -> Array:
        """The probability (N,) of each answer."""

    def confused(self, answers: Array, labels: Array) -> tuple[Array, Array]:
        """Pairs (M,), (M,) of a class or label, and of the one that was given in its place."""


class Scoring(Protocol):
    """How good the answers of a target are, in reports and pictures."""

    def judged(
        self,
        outputs: Array,
        labels: Array,
        description: Description,
        metric: str = ACCURACY,
        holds_from: Thresholds = None,
    ) -> Judged:
        """How good each answer is: what every comparison of two models looks at."""

    def most_folds(self, labels: Array, description: Description) -> tuple[int, str]:
        """How many folds these labels can be split into, and what that number is."""

    def draw_contents(self, path: Path, labels: dict[str, Array], description: Description) -> None:
        """A picture of the labels of each split."""

    def baseline_score(
        self, answers: Array, labels: Array, description: Description, metric: str = ACCURACY
    ) -> BaselineScore | ErrorScore: ...

    def evaluate(
        self, outputs: Array, labels: Array, baseline: Array, description: Description, goal: Goal
    ) -> Evaluation:
        """The report on the test set, with the gates; `baseline` (N, ...) are its answers."""

    def with_groups(
        self,
        report: Evaluation,
        outputs: Array,
        labels: Array,
        description: Description,
        group_names: Sequence[str],
    ) -> Evaluation:
        """The report with the score of each group; `group_names` (N,) are empty without groups."""

    def score_in_words(self, report: Evaluation) -> str:
        """The score on the test set, for the terminal."""

    def remarks(self, report: Evaluation) -> list[str]:
        """What the terminal says beside the score."""

    def draw(
        self,
        pictures: Any,
        test: tuple[Array, Array],
        outputs: Array,
        description: Description,
        report: Evaluation,
    ) -> None:
        """Pictures and rows of the answers to the test set, and of the worst mistakes."""

    def neglected(
        self, validation: Predictions, description: Description, trained: dict[str, int]
    ) -> tuple[list[str], list[str]]:
        """The names that are never predicted in validation, and those that are rare and bad.

        `trained` counts the training examples of each class.
        """

    def results(self, card: ModelCard) -> str:
        """In the model card: how good the answers are, and what that may hide."""


@cache
def target(name: str) -> Target:
    """The target with this name."""
    return cast(Target, importlib.import_module(f"pipeline.targets.{name}"))


def recognition(name: str) -> Recognition:
    """The target with this name. Raises UserError if its answers are not right or wrong."""
    if declared("targets", name)["SCORING"] != "_scores":
        raise UserError(
            f"the dataset asks for a {name}, and this command compares right and wrong answers; "
            "expected a dataset of classes or labels"
        )
    return cast(Recognition, target(name))


def check_metric(name: str, target_name: str) -> None:
    """Raises UserError if the metric does not fit the target of this name."""
    if name != ACCURACY and not one_class_each(target_name):
        raise UserError(
            f"problem.metric is {name}, which is for one class of several, and the dataset asks "
            f"for {target_name}; expected {ACCURACY}"
        )


def check_unit(description: Description) -> None:
    """Raises UserError if the data ask for a number and no unit is given, or the other way round.

    The unit says that problem.target is an error and not an accuracy.
    """
    if is_number(description.target) and description.unit is None:
        raise UserError(
            f"problem.unit is null, and {description.name} asks for a number; expected its unit, "
            "such as degrees, and as problem.target the mean absolute error that the model may have"
        )
    if description.unit is not None and not is_number(description.target):
        raise UserError(
            f"problem.unit is {description.unit}, and {description.name} asks for "
            f"{description.target}; expected null, or numbers: floats as y_train of an npz file"
        )


def holds_from(validation: Predictions, name: str) -> Thresholds:
    """The thresholds of the target with this name, chosen on these examples."""
    from pipeline.targets import _thresholds

    return _thresholds.fitted(validation, name)


@cache
def scoring(name: str) -> Scoring:
    """How good the answers of the target with this name are."""
    module = declared("targets", name)["SCORING"]
    return cast(Scoring, importlib.import_module(f"pipeline.targets.{module}"))
