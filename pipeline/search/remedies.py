"""What may be changed after each verdict: overrides of params.yaml, each with its reason, most promising first.

The order follows the lectures: first ask whether training itself is good enough; if it is not, more data will not help; if
it is, and validation is worse, more data help most.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.config.overrides import written
from pipeline.config.params import Params
from pipeline.config.parts import declared
from pipeline.diagnosis.diagnosis import FEWEST_EPOCHS

CONVOLUTIONS = "edge"  # the architecture that images are moved to
TRANSLATION = {
    "class_name": "RandomTranslation",
    "config": {"height_factor": 0.06, "width_factor": 0.06, "fill_mode": "constant"},
}
LARGEST_RATE = 0.01
ADAM_RATE = (
    0.001  # Kingma and Ba, 2015, Adam: A Method for Stochastic Optimization; Keras's default
)


@dataclass(frozen=True)
class Situation:
    """A training: its parameters, the verdict on it, and the data it could have."""

    params: Params
    verdict: str
    available: int  # training images before validation is split off
    images: bool  # not ids of words or users
    small_validation: bool = False  # as a note on the verdict says

    @property
    def architecture(self) -> dict[str, Any]:
        """What its architecture declares of itself."""
        return declared("architectures", self.params.train.architecture)

    @property
    def hidden(self) -> list[int]:
        return self.params.train.network.hidden or []


@dataclass(frozen=True)
class Change:
    """Overrides of params.yaml by dotted key, why they should help, and what they are called."""

    name: str
    overrides: dict[str, Any]
    reason: str

    def arguments(self) -> list[str]:
        return [
            argument
            for key, value in self.overrides.items()
            for argument in ("-S", f"{key}={written(value)}")
        ]

    def command(self) -> str:
        """The experiment with it, to paste into a shell."""
        return shlex.join(["dvc", "exp", "run", *self.arguments()])


def more_data(now: Situation) -> Change | None:
    subset = now.params.preprocess.subset
    if subset is None or subset >= now.available:
        return None
    epochs = max(5, round(now.params.train.epochs * subset / now.available))
    return Change(
        "more data",
        {"preprocess.subset": None, "train.epochs": epochs},
        f"training is good and validation is worse, and only {subset:,} of {now.available:,} examples are in use: more data are the "
        f"most effective cure; {epochs} epochs of all of them take as many steps",
    )


def convolutions(now: Situation) -> Change | None:
    if not now.images or now.architecture.get("CONVOLUTIONAL"):
        return None
    layers = {
        f"train.network.{key}": None for key, value in now.params.train.network if value is not None
    }
    return Change(
        "convolutions",
        {"train.architecture": CONVOLUTIONS, **layers},
        "images ask for convolutions: they share their weights over all positions, so what is learned in one place is known in all",
    )


def augmentation(now: Situation) -> Change | None:
    if not now.images or now.params.train.augmentation:
        return None
    return Change(
        "augmentation",
        {"train.augmentation": [TRANSLATION]},
        "pictures moved a little are new pictures, at no cost",
    )


def dropout(now: Situation) -> Change | None:
    rate = now.params.train.network.dropout
    if (
        isinstance(rate, list)
        or (rate or 0) >= 0.5
        or (rate is None and now.architecture.get("OWN_DROPOUT"))
    ):
        return None
    higher = 0.5 if rate else 0.3
    return Change(
        f"dropout {higher}",
        {"train.network.dropout": higher},
        "with units missing at random, none can rely on another to learn by heart",
    )


def weight_penalty(now: Situation) -> Change | None:
    if now.params.train.network.kernel_regularizer is not None:
        return None
    penalty = {"class_name": "L2", "config": {"l2": 0.001}}
    return Change(
        "L2 0.001",
        {"train.network.kernel_regularizer": penalty},
        "a penalty on large weights keeps the function smooth",
    )


def less_capacity(now: Situation) -> Change | None:
    if not now.hidden or max(now.hidden) <= 16:
        return None
    halved = [max(4, units // 2) for units in now.hidden]
    return Change(
        f"half the units: {halved}",
        {"train.network.hidden": halved},
        "fewer weights cannot hold every example",
    )


def fewer_layers(now: Situation) -> Change | None:
    if len(now.hidden) <= 2:
        return None
    fewer = [max(now.hidden[0], 16)] * 2
    return Change(
        f"two layers: {fewer}",
        {"train.network.hidden": fewer},
        "through fewer layers more of the gradient comes to the first",
    )


def more_capacity(now: Situation) -> Change | None:
    if not now.hidden or max(now.hidden) >= 1024:
        return None
    doubled = [2 * units for units in now.hidden]
    return Change(
        f"twice the units: {doubled}",
        {"train.network.hidden": doubled},
        "training itself is not good enough: more units can tell more apart",
    )


def longer(now: Situation) -> Change | None:
    epochs = max(FEWEST_EPOCHS, 2 * now.params.train.epochs)
    if now.verdict == "too_few_epochs":
        return Change(
            f"{epochs} epochs",
            {"train.epochs": epochs},
            "of so few epochs nothing can be told: more of them show what is wrong",
        )
    rest = "the losses have not come to rest: more epochs let them"
    deeper = (
        "the schedule stretches with the epochs, and a slower fall of the rate ends at a lower loss"
    )
    return Change(
        f"{epochs} epochs",
        {"train.epochs": epochs},
        rest if now.verdict == "stopped_early" else deeper,
    )


def annealing(now: Situation) -> Change | None:
    if now.params.train.schedule == "cosine":
        return None
    return Change(
        "cosine schedule",
        {"train.schedule": "cosine", "train.warmup": 0.15},
        "a rate that falls to zero lets the weights settle where a constant one keeps them moving",
    )


def adam(now: Situation) -> Change | None:
    optimizer = now.params.train.optimizer
    name = optimizer if isinstance(optimizer, str) else optimizer.class_name
    if name.startswith("Adam"):
        return None
    return Change(
        "AdamW",
        {
            "train.optimizer": {"class_name": "AdamW", "config": {"weight_decay": 0.05}},
            "train.learning_rate": ADAM_RATE,
        },
        "Adam is the best first choice, at the rate that suits it, and its decay of weights regularizes",
    )


def larger_batches(now: Situation) -> Change | None:
    size, rate = now.params.train.batch_size, now.params.train.learning_rate
    if size == "full" or size >= 128:
        return None
    reason = "the mean over more examples is a gradient with less noise"
    higher = min(LARGEST_RATE, 2 * rate)
    if higher <= rate:
        return Change("batches of 128", {"train.batch_size": 128}, reason)
    return Change(
        "batches of 128",
        {"train.batch_size": 128, "train.learning_rate": higher},
        f"{reason}, and allows a larger step",
    )


def normalization(now: Situation) -> Change | None:
    if now.params.train.network.normalization not in (None, "none") or now.architecture.get(
        "CONVOLUTIONAL"
    ):
        return None
    return Change(
        "batch normalization",
        {"train.network.normalization": "before"},
        "normalized inputs keep every layer's activations where their gradient is large",
    )


def slower(now: Situation) -> Change | None:
    rate = now.params.train.learning_rate / 10
    return Change(
        f"learning rate {rate:.3g}",
        {"train.learning_rate": rate},
        "the steps are too long: they jump over the minimum",
    )


def faster(now: Situation) -> Change | None:
    rate = min(LARGEST_RATE, 5 * now.params.train.learning_rate)
    if rate <= now.params.train.learning_rate:
        return None
    return Change(
        f"learning rate {rate:.3g}",
        {"train.learning_rate": rate},
        "the losses fall slowly and steadily: larger steps get there sooner",
    )


def relu(now: Situation) -> Change | None:
    network = now.params.train.network
    if network.activation in (None, "relu") and network.kernel_initializer == "HeNormal":
        return None
    return Change(
        "ReLU with He's initialization",
        {"train.network.activation": "relu", "train.network.kernel_initializer": "HeNormal"},
        "its gradient does not shrink from layer to layer, and the spread of the weights fits it",
    )


def larger_validation(now: Situation) -> Change | None:
    if not now.small_validation or now.params.preprocess.validation == 0.2:
        return None
    return Change(
        "a fifth for validation",
        {"preprocess.validation": 0.2},
        "more validation examples narrow the interval of what they say",
    )


def random_split(now: Situation) -> Change | None:
    if now.params.preprocess.order == "stratified":
        return None
    return Change(
        "stratified split",
        {"preprocess.order": "stratified"},
        "drawn at random, class by class, the parts look alike",
    )


CURES: dict[str, tuple[Callable[[Situation], Change | None], ...]] = {
    "overfit": (
        more_data,
        convolutions,
        augmentation,
        dropout,
        adam,
        weight_penalty,
        annealing,
        fewer_layers,
        less_capacity,
    ),
    "too_little_capacity": (
        convolutions,
        adam,
        fewer_layers,
        more_capacity,
        normalization,
        annealing,
        longer,
    ),
    "too_few_epochs": (longer,),
    "stopped_early": (faster, longer, adam),
    "diverged": (slower, adam, annealing),
    "dead_units": (relu, normalization, slower),
    "saturated_units": (relu, normalization),
    "vanishing_gradients": (relu, fewer_layers, normalization),
    "leakage": (random_split,),
    "unrepresentative_training": (random_split, more_data, augmentation),
    # nothing is wrong, and it is still not good enough: a better set of models, and a better way through it
    "good_fit": (
        more_data,
        convolutions,
        adam,
        annealing,
        augmentation,
        larger_batches,
        longer,
        more_capacity,
        normalization,
        dropout,
        larger_validation,
    ),
}
