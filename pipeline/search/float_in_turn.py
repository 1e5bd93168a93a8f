"""Which layer of the int8 file costs most? Each in turn stays in float, and all others in int8.

What int8 does to the answer to an image is the share of the probability that it gives to other
classes than float32 does: 0 if nothing changes, 1 if all of it moves. A layer gains what less of it
moves if it is in float. Every layer answers the same images, so the gain has a paired interval.
That of Student's t is widened for all layers together, by Bonferroni: the chance that any of them
is named by noise alone is at most 5 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.process import imports, progress
from pipeline.process.words import counted, verb
from pipeline.reporting import tables
from pipeline.search.simulated_int8 import SimulatedInt8
from serving import runtimes
from serving.errors import RuntimeRefusalError

RUNTIME = "litert"
CHANCE = 0.05  # of naming any layer that gains nothing
FEWEST = 30  # images, below which the interval cannot be trusted
NAMED = 3  # layers in a sentence
NEAR = 0.5  # of what int8 moves, which the simulation may be off
TITLE = "each layer in float"
COLUMNS = ("in float", "differ", "moved", "gain", "95 % interval", "loss")


@dataclass(frozen=True)
class Answers:
    """How answers differ from those of float32: `moved` (N,), how many, and the mean loss."""

    moved: Array
    different: int
    loss: float

    def row(self, name: str, gain: str = "", interval: str = "") -> tuple[str, ...]:
        share = points(float(self.moved.mean()))
        return name, f"{self.different:,}", share, gain, interval, f"{self.loss:.4f}"


@dataclass(frozen=True)
class LayerInFloat:
    """What would be if this layer alone stayed in float."""

    name: str
    answers: Answers
    gain: float  # of the probability that moves, on average
    interval: tuple[float, float]

    @property
    def is_shown(self) -> bool:
        """Whether the layer gains more than noise can explain."""
        return self.interval[0] > 0

    def row(self) -> tuple[str, ...]:
        gain, low, high = (f"{100 * share:+.3f}" for share in (self.gain, *self.interval))
        return self.answers.row(self.name, gain, f"{low} to {high}")


@dataclass(frozen=True)
class FloatInTurn:
    """All layers, those that gain most first; none if the simulation is too far from the file.

    `simulated` are the answers of the int8 file as it is simulated with no layer in float, and
    `error` is how much of the probability moves between those and the answers of the file.
    """

    images: int
    file: Answers
    simulated: Answers
    float32_loss: float
    error: float
    layers: list[LayerInFloat]

    @property
    def shown(self) -> list[LayerInFloat]:
        return [layer for layer in self.layers if layer.is_shown]

    def sentences(self) -> list[str]:
        share = float(self.file.moved.mean())
        about = (
            f"On {counted(self.images, 'validation image')} int8 gives, on average, "
            f"{points(share)} points of the probability to other classes than float32 does; "
            f"{counted(self.file.different, 'answer')} {differ(self.file.different)}."
        )
        if not share:
            return [f"{about} No layer needs to be in float."]
        if not self.layers:
            return [
                f"{about} Which layers are to blame cannot be told: int8 as it is simulated here, "
                f"to leave one layer in float, is {points(self.error)} points off from the file."
            ]
        return [about, *(self._named(layer) for layer in self.shown[:NAMED]), *self._others()]

    def _named(self, layer: LayerInFloat) -> str:
        low, high = map(points, layer.interval)
        different = layer.answers.different
        return (
            f"With {layer.name} alone in float it is {points(layer.gain)} points less (95 % "
            f"interval {low} to {high}), and {counted(different, 'answer')} {differ(different)}."
        )

    def _others(self) -> list[str]:
        count = len(self.shown) - NAMED
        if count > 0:
            return [f"{counted(count, 'other layer')} gain{'s' * (count == 1)} less."]
        if self.shown:
            return []
        return ["No layer alone in float makes it less, as far as these images can show."]

    def rows(self) -> list[tuple[str, ...]]:
        """Those of all layers, after the two without any in float."""
        without = self.file.row("none"), self.simulated.row("none, simulated")
        return [*without, *(layer.row() for layer in self.layers)]

    def parts(self) -> list[str]:
        """The section of the page."""
        head = ["## Each layer in float in turn", *self.sentences()]
        if not self.layers:
            return head
        return [
            *head,
            tables.table(COLUMNS, self.rows()),
            "Answers *differ* from those of float32. *moved* and *gain* are points of the "
            "probability, and the interval of the gain holds for all layers together.",
            f"The validation loss of float32 is {self.float32_loss:.4f}. The rounding of int8 is "
            f"simulated in float, and {points(self.error)} points off from the file. Gains do not "
            "add up: the errors of two layers may cancel each other, and then one of them alone in "
            "float makes it worse.",
        ]


def differ(answers: int) -> str:
    return verb(answers, "differs", "differ")


def points(share: float) -> str:
    """A share of the probability, in points."""
    return f"{100 * share:.3f}"


def tried(
    float32: bytes, int8: bytes, images: Array, losses: Callable[[Array], Array]
) -> FloatInTurn | str:
    """Each layer in float, on raw images (N, ...), or why that cannot be tried.

    `losses` gives the loss (N,) of probabilities (N, K).
    """
    if len(images) < FEWEST:
        return (
            f"Each layer in float was not tried: {counted(len(images), 'validation image')} "
            f"cannot show which one gains; expected at least {FEWEST}."
        )
    try:
        return _tried(float32, int8, images, losses)
    except (ValueError, RuntimeRefusalError) as error:
        return (
            f"Each layer in float cannot be tried with these two files: {error}. The layers above "
            "are compared all the same."
        )


def _tried(
    float32: bytes, int8: bytes, images: Array, losses: Callable[[Array], Array]
) -> FloatInTurn:
    simulated = SimulatedInt8(float32, int8)
    reference = probabilities(float32, images)

    def answers(outputs: Array) -> Answers:
        different = int((outputs.argmax(1) != reference.argmax(1)).sum())
        return Answers(moved(outputs, reference), different, float(losses(outputs).mean()))

    together, of_file = (probabilities(data, images) for data in (simulated.file(), int8))
    error = float(moved(together, of_file).mean())
    own, before = answers(of_file), answers(together)
    is_near = error <= NEAR * own.moved.mean()
    names = simulated.layers if is_near and own.moved.any() else []
    each = (answers(probabilities(simulated.file(name), images)) for name in names)
    layers = [
        LayerInFloat(name, turn, *gain(before.moved - turn.moved, len(names)))
        for name, turn in zip(names, progress.followed(each, len(names), TITLE), strict=True)
    ]
    layers.sort(key=lambda layer: -layer.gain)
    return FloatInTurn(len(images), own, before, float(losses(reference).mean()), error, layers)


def probabilities(data: bytes, images: Array) -> Array:
    """The outputs (N, K) of a TensorFlow Lite file for raw images (N, ...)."""
    with imports.quiet():  # LiteRT says which delegate it takes
        model = runtimes.open_model(RUNTIME, data)
    return np.asarray(model.probabilities(images.astype(model.input_type, copy=False)), np.float64)


def moved(outputs: Array, reference: Array) -> Array:
    """The share (N,) of the probability that is given to other classes (total variation)."""
    return np.asarray(np.abs(outputs - reference).sum(1) / 2)


def gain(differences: Array, layers: int) -> tuple[float, tuple[float, float]]:
    """The mean of paired differences (N,) and its interval, which holds for all layers together."""
    from scipy import special

    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    half = float(special.stdtrit(len(differences) - 1, 1 - CHANCE / 2 / layers)) * error
    return mean, (mean - half, mean + half)
