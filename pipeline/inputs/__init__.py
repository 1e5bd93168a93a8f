"""One file per kind of input, named as in data/prepared/description.json: pixels, ids, ...

Each module is a `Kind`: whatever depends on what goes into a model is there. Two things are
elsewhere, so that a change here trains nothing again: what a device must know, such as the type and
dimensions, is in serving/inputs.py, and the way into the network in architectures/_layers.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.files.artifacts import Array, Description

if TYPE_CHECKING:
    from pipeline.files.reports.preprocess import Evidence

Predict = Callable[[Array], dict[str, Array]]  # inputs -> the predictions (N,) of each baseline


class Drawing(Protocol):
    """What a kind draws with: pipeline.reporting.pictures, handed in by the stages that draw.

    So the stages that do not draw do not depend on it.
    """

    def images(
        self, path: Path, pictures: Array, titles: Sequence[str], *, title: str = ""
    ) -> None: ...

    def texts(
        self, path: Path, contents: Sequence[str], titles: Sequence[str], *, title: str = ""
    ) -> None: ...

    def indicative_ids(
        self,
        path: Path,
        scores: Array,
        names: Sequence[str],
        class_names: Sequence[str],
        title: str,
    ) -> None: ...

    def lines(
        self, path: Path, series: Array, titles: Sequence[str], *, title: str = ""
    ) -> None: ...

    def against(self, path: Path, true: Array, predicted: Array, unit: str, title: str) -> None: ...

    def shown_names(self, class_names: Sequence[str]) -> list[str]: ...


@dataclass(frozen=True)
class Sheet:
    """A picture of inputs: its file, the title of each input, and that of the whole."""

    path: Path
    titles: Sequence[str]
    title: str


class Baselined(Protocol):
    """The baselines: what a kind of input defines for one class of several, and a target for all.

    BASELINES are the names for tables of what `baseline` predicts with; a target names only those
    that it adds to the inputs' own.
    """

    BASELINES: dict[str, str]

    def baseline(
        self,
        train: Array,
        labels: Array,
        description: Description,
        pictures: Drawing,
        path: Path,
    ) -> Predict:
        """Fits the baselines that a model must beat, and draws what they know."""


class Kind(Baselined, Protocol):
    """What a module of this folder defines. Inputs are arrays (N, ...).

    The constants are literals: `pipeline.config.parts.declared` reads them without an import, for
    stages that shall not run again whenever a kind changes.
    """

    NOUN: str  # what several inputs are called, in messages
    ARRAYS: str  # the arrays of an npz, in messages
    # How many an npz may have, where that is limited; the axis of a single one may be left out
    CHANNELS: tuple[int, ...]
    VOCABULARY: bool  # whether the values are numbers of its entries
    AUGMENTATION: bool  # whether Keras's augmentation layers, which are for images, apply
    IMAGES: bool  # whether they are pictures, so that others of no class, or a foreign model, fit
    AXES: bool  # whether channels may be the axes of a sensor, which augmentation turns
    CONVOLUTIONS: str  # the architecture that advice proposes for them; empty if none
    EMBEDDED: bool  # whether the targets without Python take them
    PICTURED: bool  # whether `draw` needs nothing but the inputs, as a device logs them
    SHOWN: int  # mistakes in the picture of mistakes
    CLASSES: int  # most classes in a picture of all of them; twice as many examples
    BEFORE_CONFIDENCE: str  # in the title of a mistake, between its classes and its confidence
    # What a device needs beside the model: a module of pipeline/bundle; empty if nothing
    COMPANIONS: str
    VALUES: str  # in the model card: what the values are
    PREPARED: str  # in the model card, before the description of the preprocessing
    EXAMPLES: str  # in the model card, after it: what COMPANIONS are for
    EXAMPLE: str  # in the model card: the file for `serving predict`; empty if it reads none

    def value_range(self, train: Array, description: Description) -> tuple[float, float]:
        """The lowest and highest value that the model card promises."""

    def report(self, inputs: Array, description: Description) -> dict[str, Any]:
        """The figures of a split for reports/preprocess.json."""

    def evidence(self, train: Array, validation: Array) -> Evidence:
        """Whether validation holds copies of training examples, and whether it looks like them."""

    def regressors(self, inputs: Array, description: Description) -> Any:
        """What ridge regression, the baseline of numbers, takes of inputs: (N, D), maybe sparse."""

    def draw(
        self, pictures: Drawing, sheet: Sheet, inputs: Array, vocabulary: Sequence[str] = ()
    ) -> None:
        """Draws inputs (N, ...), each under its title."""

    def html(self, example: Array, vocabulary: Sequence[str] = ()) -> str:
        """One input (...) as HTML that needs no other file: a picture, a drawing or its words."""

    def calibration(self, inputs: Array) -> Array:
        """Training examples (N, ...), changed so that int8 covers all values of a device."""

    def synthetic(self, examples: Array, limits: tuple[float, float]) -> Array:
        """Inputs (E, ...) at the extremes: opposites of `examples`, the limits, noise."""

    def invented(self, inputs: Array, limits: tuple[float, float]) -> Array:
        """Random inputs (E, ...), none of them in `inputs`, for data that may not be passed on."""

    def preprocessing(self, description: Description) -> dict[str, Any]:
        """How data become the input: method, box and description, as the model card has them."""


def noun(name: str) -> str:
    """What several inputs of a kind are called, where they are counted."""
    return "examples" if kind(name).VOCABULARY else kind(name).NOUN


@cache
def kind(name: str) -> Kind:
    """The kind with this name."""
    return cast(Kind, importlib.import_module(f"pipeline.inputs.{name}"))
