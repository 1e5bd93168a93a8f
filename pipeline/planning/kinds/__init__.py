"""What a recipe must know of each kind of input: one file per kind, named as in pipeline/inputs.

Each has a `KIND`. What most of them share is here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.parts import TEST

if TYPE_CHECKING:
    import numpy as np

    from pipeline.config.params import Dataset
    from pipeline.files.artifacts import Array
    from pipeline.planning.networks import Candidate

FEW = 1000  # examples for training
ACCURACY_DROP = 0.002  # params.yaml's own


class Words(NamedTuple):
    """The noun for an example, its plural, and how the question "Which class ..." goes on."""

    noun: str
    plural: str
    verb: str


@dataclass(frozen=True)
class Recipe:
    """A training that was measured in the documentation, for data of one sort."""

    steps: int
    learning_rate: float
    dataset: Callable[[Survey], list[Choice]]  # its values
    augmentation: Callable[[Survey], Choice]

    def batch(self, examples: int) -> int:
        return 32 if examples < FEW else 64


@dataclass(frozen=True)
class SearchedNetwork:
    """What `edgeproof shrink` varies, and the filters of the architecture as it is."""

    architecture: str
    layers: int
    first: int  # filters
    last: int
    any_form: bool  # whether it has every kind of convolution, and of end


class PlannedKind:
    searched: ClassVar[SearchedNetwork | None] = None  # by `edgeproof shrink`, if it takes them
    # train.network, where the architecture's own values do not fit
    hidden: ClassVar[list[int] | None] = None
    dropout: ClassVar[float | None] = None

    def words(self, data: Survey) -> Words:
        raise NotImplementedError

    def backbone(self, data: Survey, board: str | None) -> Candidate | None:
        """The published network for such data, if there is one."""
        return None

    def candidates(self, data: Survey, board: str | None, has_weights: bool) -> list[Candidate]:
        """The networks to try, the most accurate first; only a board needs more than one."""
        raise NotImplementedError

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        """That of an input that is made from files."""
        raise NotImplementedError

    def random(self, rng: np.random.Generator, shape: tuple[int, ...], highest: int) -> Array:
        """Inputs of this shape, (N, ...)."""
        import numpy as np

        return rng.integers(0, highest, shape, np.uint8, endpoint=True)

    def recipe(self, data: Survey) -> Recipe | None:
        """The recipe of such data, if they have one of their own."""
        return None

    def dataset(self, data: Survey, network: Candidate) -> list[Choice]:
        """The choices under `dataset` that follow from the kind."""
        own = self.recipe(data)
        return [*own.dataset(data), Choice("dataset.test", TEST)] if own else []

    def order(self, data: Survey) -> Choice:
        return Choice("preprocess.order", "stratified")

    def grouped(self, data: Survey) -> str:
        """Why the examples of a group stay together."""
        return "a column of your list"

    def runtimes(self, every: list[str]) -> Choice:
        return Choice("verify.runtimes", every)

    def accuracy_drop(self) -> Choice:
        """What a file of a network of our own may lose."""
        return Choice("export.max_accuracy_drop", ACCURACY_DROP)

    def augmentation(self, data: Survey, network: Candidate) -> Choice:
        own = self.recipe(data)
        return (
            own.augmentation(data) if own else Choice("train.augmentation", [], "for images only")
        )


def grouped(data: Survey, column: str) -> str:
    """Why the recordings of a group stay together: by an expression, or by what a column says."""
    by_file = "what the parentheses find in a file's name belongs together, such as a speaker"
    return by_file if "(" in (data.group or "") else column


def kind_of(data: Any) -> PlannedKind:
    """The kind of a survey, or of whatever else has a `kind`."""
    return named(data.kind)


def named(name: str) -> PlannedKind:
    kind: PlannedKind = importlib.import_module(f"pipeline.planning.kinds.{name}").KIND
    return kind
