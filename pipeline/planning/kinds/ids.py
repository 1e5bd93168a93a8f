"""Ids, such as those of words: a list of them is an example."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.planning import kinds
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.kinds import Words
from pipeline.planning.networks import Candidate


class Ids(kinds.PlannedKind):
    hidden: ClassVar = [16, 16]
    dropout = 0.5

    def words(self, data: Survey) -> Words:
        return Words("list of ids", "list of ids", "is the list of ids")

    def candidates(self, data: Survey, board: str | None, has_weights: bool) -> list[Candidate]:
        return [Candidate("multi_hot", None, "a dense network on the ids of each example")]

    def random(self, rng: np.random.Generator, shape: tuple[int, ...], highest: int) -> Array:
        return rng.integers(1, highest, shape, np.int32, endpoint=True)

    def runtimes(self, every: list[str]) -> Choice:
        others = [name for name in every if name != "tflite_micro"]
        return Choice("verify.runtimes", others, "TensorFlow Lite Micro lacks an operator")


KIND = Ids()
