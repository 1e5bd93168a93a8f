"""What `edgeproof shrink` searches: small convolutional networks and how they are trained.

The filters of a network are a geometric series from the first layer to the last, so its depth and
two numbers say them all: few filters on the large maps keep the arena small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.bundle import description
from pipeline.config.boards import BOARDS
from pipeline.config.overrides import Choices, Overrides, Range, written
from pipeline.config.params import NONE, Name, Params, Train
from pipeline.config.parts import one_class_each
from pipeline.config.problem import ACCURACY
from pipeline.files.artifacts import Description, Inputs
from pipeline.planning import cost, kinds
from pipeline.planning.cost import NetworkFiles, Shape
from pipeline.planning.kinds import SearchedNetwork
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.search.change import rounded
from pipeline.search.optuna_storage import Direction, Sweep

DEPTH, FIRST, LAST = "depth", "first", "last"  # of the filters
BATCH = "train.batch_size"
SMOOTHING, AVERAGING = "smoothing", "averaging"  # of the labels; of the weights
FEWEST_FIRST, FEWEST_LAST, LEAST_DEPTH, MOST_DEPTH = 4, 8, 3, 6
MOMENTUM = 0.99  # of averages over batches; Keras's default
SHA256_DIGITS = 64
AS_IT_IS = 5  # trials
FEWEST_BATCH = 64  # of which half is a batch, too
FEWEST_EPOCHS = 4  # of which half is a training, too
FRESH: Overrides = {  # what a network that starts from no other needs
    "train.weights": "none",
    "train.start_from": NONE,
    "train.freeze": None,
    "train.thaw": [],
    "train.network.width": None,
}


@dataclass(frozen=True)
class Budget:
    """What a network may need: bytes of its file, bytes of the arena, and the board."""

    bytes: int
    arena: int | None
    board: str | None

    def faults(self, files: NetworkFiles) -> dict[str, tuple[int, int]]:
        """What the network needs too much of, by name, and what it may need."""
        limits = [("bytes", files.integer_bytes, self.bytes)]
        if self.arena is not None:
            limits.append(("arena", files.micro_arena_bytes or 0, self.arena))
        if self.board is not None:
            board = BOARDS[self.board]
            limits.append(("RAM", files.micro_arena_bytes or 0, board.ram_bytes))
            limits.append(("flash", files.micro_flash_bytes or 0, board.flash_bytes))
        return {resource: (needed, limit) for resource, needed, limit in limits if needed > limit}

    def refusal(self, files: NetworkFiles) -> str | None:
        """Why the arena is not known, if the budget limits it."""
        limited = self.arena is not None or self.board is not None
        return files.refused if limited and files.micro_arena_bytes is None else None


@dataclass(frozen=True)
class Shrink(Sweep):
    """A sweep over networks that fit a budget, for the metric and bytes at once."""

    budget: Budget
    shape: Shape
    card_bytes: int  # of the description in the file
    begin: dict[str, Any]  # the values of the first trial, if they are known
    metric: str = ACCURACY  # that the networks are compared by

    @property
    def directions(self) -> list[Direction]:
        return ["maximize", "minimize"]

    def fixed_values(self, place: int) -> dict[str, Any]:
        """The first networks are trained as params.yaml says, which is better than a guess."""
        values = recipe(self.start.train, self.space) if place < AS_IT_IS else {}
        return values | self.begin if place == 0 else values

    def overrides(self, values: Overrides) -> Overrides:
        return overrides(self.start.train, values)

    def files(self, settings: Params) -> NetworkFiles:
        """What the network of these settings needs. Raises UserError if it cannot be built."""
        # Only the network matters: one with another recipe is not measured again.
        network, architecture = settings.train.network, settings.train.architecture
        train = self.start.train.model_copy(
            update={"network": network, "architecture": architecture}
        )
        files = cost.files(self.start.model_copy(update={"train": train}), self.shape)
        return replace(files, integer_bytes=files.integer_bytes - cost.CARD_BYTES + self.card_bytes)


def shape_of(data: Description) -> Shape:
    """Raises UserError if the search has no network for such data."""
    if kinds.kind_of(data).searched is None or not one_class_each(data.target):
        raise UserError(
            f"shrink searches networks for images or sounds of one class each, and {data.name} "
            f"holds {data.kind} with {data.target}; use `edgeproof sweep` with the values to try"
        )
    classes = len(data.class_names)
    return Shape(tuple(data.input_shape), classes, data.kind, data.target, data.highest)


def searched(kind: str) -> SearchedNetwork:
    """The network for such inputs, which `shape_of` has let pass."""
    network = kinds.named(kind).searched
    assert network is not None
    return network


def card_bytes(settings: Params, data: Description) -> int:
    """The bytes of the description that `export` puts into a file."""
    card = description.describe(settings.problem, data, "0" * SHA256_DIGITS)
    return len(json.dumps(card).encode())


def fresh(settings: Params, kind: str) -> Overrides:
    """What to change in params.yaml before the search, so that it trains its own network."""
    overrides = {"train.architecture": searched(kind).architecture, **FRESH}
    return {key: value for key, value in overrides.items() if _value(settings, key) != value}


def _value(settings: Params, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def space(train: Train, kind: str, limit: int) -> list[Choices | Range]:
    """The parameters of the search, for files of at most `limit` bytes.

    A separable layer of c filters after another one has about c * c weights, of one byte each, and
    it is not alone.
    """
    most = max(math.isqrt(limit) // 2, 2 * FEWEST_LAST)
    result: list[Choices | Range] = [
        Range(DEPTH, LEAST_DEPTH, MOST_DEPTH, log=False),
        Range(FIRST, FEWEST_FIRST, max(most // 4, 2 * FEWEST_FIRST), log=True),
        Range(LAST, FEWEST_LAST, most, log=True),
    ]
    if searched(kind).any_form:
        result += [
            Choices("train.network.convolution", ["separable", "full"]),
            Choices("train.network.end", ["flatten", "mean"]),
        ]
    if train.epochs >= FEWEST_EPOCHS:
        result.append(Range("train.epochs", train.epochs // 2, train.epochs, log=False))
    if isinstance(train.batch_size, int) and train.batch_size >= FEWEST_BATCH:
        # Half a batch is twice as many steps, for about the same time of the processor.
        result.append(Choices(BATCH, [train.batch_size // 2, train.batch_size]))
    rate = train.learning_rate
    result.append(Range("train.learning_rate", rate / 3, 3 * rate, log=True))
    if _class_name(train.loss) == "CategoricalCrossentropy":
        result.append(Choices(SMOOTHING, [0.0, 0.05, 0.1]))
    return [*result, Choices(AVERAGING, [False, True])]


def recipe(train: Train, dimensions: list[Choices | Range]) -> dict[str, Any]:
    """How params.yaml trains, as values of a trial."""
    config = {} if isinstance(train.loss, str) else train.loss.config
    values = {
        "train.epochs": train.epochs,
        BATCH: written(train.batch_size),
        "train.learning_rate": train.learning_rate,
        SMOOTHING: written(config.get("label_smoothing", 0.0)),
        AVERAGING: written(False),
    }
    labels = {
        dimension.key: dimension.labels()
        for dimension in dimensions
        if isinstance(dimension, Choices)
    }
    keys = {dimension.key for dimension in dimensions}
    return {
        key: value
        for key, value in values.items()
        if key in keys and value in labels.get(key, [value])
    }


def own_form(networks: Shrink, scale: float) -> dict[str, Any]:
    """The values of the architecture's own network with `scale` times its filters."""
    own = searched(networks.shape.kind)
    ranges = {
        dimension.key: dimension for dimension in networks.space if isinstance(dimension, Range)
    }
    values: dict[str, Any] = {DEPTH: own.layers}
    for key, count in ((FIRST, own.first), (LAST, own.last)):
        values[key] = round(min(max(scale * count, ranges[key].low), ranges[key].high))
    if own.any_form:
        with imports.keras_import():
            from pipeline.architectures import _convolutions
        end = _convolutions.end(Inputs(networks.shape.shape))
        values |= {"train.network.convolution": "full", "train.network.end": end}
    return values


def smallest(dimensions: list[Choices | Range]) -> dict[str, object]:
    """The values of the smallest file: the fewest weights, in the fewest operators."""
    values = {
        parameter.key: parameter.low if isinstance(parameter, Range) else parameter.values[-1]
        for parameter in dimensions
    }
    return {**values, DEPTH: LEAST_DEPTH}


def overrides(train: Train, values: Overrides) -> Overrides:
    """The values of params.yaml that a trial's values stand for; `train` is where they start."""
    result: dict[str, object] = {
        key: rounded(value) if isinstance(value, float) else value
        for key, value in values.items()
        if key.startswith("train.")
    }
    result["train.network.hidden"] = filters(values)
    if SMOOTHING in values:
        result |= _with("train.loss", train.loss, {"label_smoothing": values[SMOOTHING]})
    if values.get(AVERAGING):
        averages = {"use_ema": True, "ema_momentum": MOMENTUM}
        result |= _with("train.optimizer", train.optimizer, averages)
    return result


def filters(values: Mapping[str, Any]) -> list[int]:
    """The filters of each layer."""
    series = np.geomspace(values[FIRST], values[LAST], values[DEPTH])
    return [round(float(count)) for count in series]


def _class_name(value: Name) -> str:
    return value if isinstance(value, str) else value.class_name


def _with(key: str, value: Name, config: Mapping[str, object]) -> dict[str, object]:
    """Overrides that add values to the config of the Keras object `value`, at `key`."""
    if isinstance(value, str):
        return {key: {"class_name": value, "config": config}}
    return {f"{key}.config.{name}": setting for name, setting in config.items()}
