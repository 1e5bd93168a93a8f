"""The values under `train`, by what the data are and how many.

The small values are those that worked on few images: small batches, so that there are steps enough,
a low rate, and many epochs. Those for 30,000 images and more are params.yaml's own, for MNIST. The
numbers behind them are in docs/training.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.config.params import NONE
from pipeline.config.parts import one_class_each
from pipeline.planning import kinds, problem
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.kinds import Recipe
from pipeline.planning.networks import SMALL_BACKBONE, Candidate
from pipeline.planning.parts import parts

STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2500, 12, 80
HEAD_EPOCHS, THAWED_STEPS, FEWEST_THAWED, MOST_THAWED, THAWED_RATE = 10, 1200, 5, 20, 0.0003


@dataclass(frozen=True)
class Size:
    """Up to `images` for training: the batch size and the highest rate of AdamW."""

    images: float
    batch: int
    rate: float


SIZES = (
    Size(2_000, 32, 0.001),
    Size(10_000, 64, 0.003),
    Size(30_000, 128, 0.005),
    Size(float("inf"), 256, 0.01),
)


@dataclass(frozen=True)
class Pace:
    """How a network learns: `decay` is AdamW's weight decay, `reason` explains the epochs."""

    batch: int
    rate: float
    decay: float
    epochs: int
    reason: str


HEAD = Pace(32, 0.003, 0.05, 20, "only the output layer is trained, which takes little")


def propose(data: Survey, network: Candidate) -> list[Choice]:
    images, kind = parts(data).train, kinds.kind_of(data)
    recipe = kind.recipe(data)
    pace = _pace(images, network, recipe)
    thaws = network == SMALL_BACKBONE
    return [
        Choice("train.architecture", network.architecture, _architecture_reason(data, network)),
        Choice("train.network.hidden", kind.hidden),
        Choice("train.network.width", None),
        Choice("train.network.dropout", kind.dropout),
        Choice("train.network.output", None),
        Choice("train.weights", "imagenet" if network.is_backbone else "none"),
        Choice("model.path", NONE),
        Choice("train.start_from", NONE),
        Choice("train.freeze", None),
        _thaw(images, pace.batch) if thaws else Choice("train.thaw", []),
        Choice("train.epochs", pace.epochs, pace.reason),
        Choice("train.batch_size", pace.batch, _batch_reason(images, pace.batch)),
        _loss(data),
        _class_weights(data),
        Choice("train.optimizer", {"class_name": "AdamW", "config": {"weight_decay": pace.decay}}),
        Choice("train.learning_rate", pace.rate, f"fits batches of {pace.batch}"),
        Choice("train.schedule", "cosine"),
        kind.augmentation(data, network),
        Choice("train.keep", "last" if recipe else "validation_loss"),
    ]


def _pace(images: int, network: Candidate, recipe: Recipe | None) -> Pace:
    if network == SMALL_BACKBONE:
        epochs = HEAD_EPOCHS + _thawed(images, HEAD.batch)
        return replace(HEAD, epochs=epochs, reason="as train.thaw has them")
    if network.is_backbone:
        return HEAD
    size = next(size for size in SIZES if images < size.images)
    batch, rate, steps = size.batch, size.rate, STEPS
    if recipe:
        batch, rate, steps = recipe.batch(images), recipe.learning_rate, recipe.steps
    epochs = min(max(round(steps * batch / images), FEWEST_EPOCHS), MOST_EPOCHS)
    return Pace(batch, rate, 0.1, epochs, f"about {epochs * -(-images // batch):,} steps")


def _architecture_reason(data: Survey, network: Candidate) -> str:
    if network.is_backbone and data.number:
        return f"{network.reason}; for a number that is an angle, a place or a size, try edge"
    return network.reason


def _loss(data: Survey) -> Choice:
    key = "train.loss"
    if data.number:
        return Choice(key, "Huber", "a few numbers may be far off")
    if not one_class_each(data.target):
        return Choice(key, "BinaryCrossentropy", "several labels at once")
    smoothed = {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.05}}
    return Choice(key, smoothed, "labels smoothed, as a few may be wrong")


def _thaw(images: int, batch: int) -> Choice:
    """All layers of a small backbone learn, after its output layer has."""
    phase = {"after": HEAD_EPOCHS, "freeze": 0, "learning_rate": THAWED_RATE}
    count = _thawed(images, batch)
    reason = f"the output layer alone, then all layers for {count} epochs, as the network is small"
    return Choice("train.thaw", [phase], reason)


def _thawed(images: int, batch: int) -> int:
    return min(max(round(THAWED_STEPS * batch / images), FEWEST_THAWED), MOST_THAWED)


def _class_weights(data: Survey) -> Choice:
    if problem.is_uneven(data):
        return Choice("train.class_weights", "balanced", problem.EVERY)
    return Choice("train.class_weights", None)


def _batch_reason(images: int, batch: int) -> str:
    if batch < 256:
        return f"{images:,} training examples make {-(-images // batch)} steps an epoch"
    return f"{images:,} training examples are enough for large batches"
