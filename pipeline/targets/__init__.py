"""One file per kind of target, named as in data/prepared/description.json: classes, ...

Each module is a `Target`: whatever depends on what is asked of a model is there. Two things are
elsewhere: the way out of the network is in architectures/_layers.py and training/, so that a change
here trains nothing again, and what a device must know is in serving.

All targets have in common that an answer is right or wrong, so accuracy, gates, paired tests and
search are the same for all.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.files.artifacts import Array, Description
from pipeline.files.predictions import Predictions
from pipeline.files.reports.baseline import Score
from pipeline.files.reports.evaluate import EvaluationReport
from pipeline.inputs import Pictures, Predict

if TYPE_CHECKING:
    from serving.model_card import ModelCard


class Drawings(Pictures, Protocol):
    """What a target draws with: pipeline.reporting.pictures, handed in as for the inputs."""

    def confusion_matrix(self, path: Path, matrix: Array, class_names: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Scores:
    """Whether each answer is `right` (N,), its loss (N,), and the digests (N,) of the examples."""

    right: Array
    losses: Array
    examples: Array

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


class Target(Protocol):
    """What a module of this folder defines.

    Labels are an array (N, ...), one entry for each example. Outputs are the model's, (N, K)
    float32. Predictions are what a baseline answers, of the shape of the labels.
    """

    BASELINES: dict[str, str]  # what `baseline` predicts with beside the inputs' own, for tables

    def check(self, labels: Array, description: Description, part: str) -> None:
        """Raises UserError for labels from which nothing can be learned."""

    def strata(self, labels: Array) -> Array:
        """A number (N,) for each example; a stratified split has each number in proportion."""

    def report(self, labels: Array, description: Description) -> dict[str, Any]:
        """The figures of a split for reports/preprocess.json."""

    def baseline(
        self,
        train: Array,
        labels: Array,
        description: Description,
        pictures: Pictures,
        path: Path,
    ) -> Predict:
        """Fits the baselines that a model must beat, and draws what they know."""

    def baseline_score(
        self, predictions: Array, labels: Array, description: Description
    ) -> Score: ...

    def scores(self, predictions: Predictions) -> Scores: ...

    def margins(self, outputs: Array) -> Array:
        """How far each output (N, K) is from another answer: (N,), 0 on a decision boundary."""

    def ignored(self, outputs: Array, labels: Array, description: Description) -> list[str]:
        """The names of the possible answers that the labels have and the outputs never give."""

    def evaluate(
        self,
        outputs: Array,
        labels: Array,
        baseline: Array,
        description: Description,
        goal: float,
    ) -> EvaluationReport:
        """The report on the test set, with the gates.

        `baseline` (N, ...) are the baseline's predictions, `goal` is the accuracy to reach.
        """

    def remark(self, report: EvaluationReport) -> str:
        """A sentence for the terminal if a high accuracy hides a bad result; else empty."""

    def draw(
        self,
        pictures: Drawings,
        images: Array,
        labels: Array,
        outputs: Array,
        description: Description,
    ) -> None:
        """Writes the pictures of the mistakes, and reports/confusion.csv for DVC's plot."""

    def compare(
        self,
        outputs: Array,
        reference: Array,
        labels: Array,
        allowed: float,
        test_images: int | None = None,
    ) -> dict[str, Any]:
        """The facts of a `ComparedPair`: a file's outputs against the Keras model's `reference`.

        The bound of the accuracy lost is paired by example; `allowed` is the largest that passes.
        """

    def output(self, description: Description) -> dict[str, Any]:
        """The fields of the model card that describe the outputs."""

    def results(self, card: ModelCard) -> str:
        """In the model card: what was measured on the test set beside the accuracy."""

    def order(self, card: ModelCard) -> str:
        """In the model card: what each of the outputs stands for."""


@cache
def target(name: str) -> Target:
    """The target with this name."""
    return cast(Target, importlib.import_module(f"pipeline.targets.{name}"))
