"""Remedies for each verdict: changes of params.yaml with reasons, the most promising first.

The order follows the lectures. First ask whether training accuracy is good enough: if it is not,
more data will not help. If it is, and validation is worse, more data helps most.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.diagnosis.diagnosis import FEWEST_EPOCHS
from pipeline.search.change import Change, Situation, rounded
from pipeline.search.thawing import thaw

TRANSLATION = {
    "class_name": "RandomTranslation",
    "config": {"height_factor": 0.06, "width_factor": 0.06, "fill_mode": "constant"},
}
LARGEST_RATE = 0.01
# Kingma and Ba, 2015, Adam: A Method for Stochastic Optimization; also Keras's default
ADAM_RATE = 0.001
FEWEST_BATCHES = 10  # of an epoch


def more_data(now: Situation) -> Change | None:
    subset = now.params.preprocess.subset
    if subset is None or subset >= now.available:
        return None
    epochs = max(5, round(now.params.train.epochs * subset / now.available))
    return Change(
        "more data",
        {"preprocess.subset": None, "train.epochs": epochs},
        "training is good and validation is worse, and only"
        f" {subset:,} of {now.available:,} examples are used: more data helps most; {epochs} epochs"
        " of all examples take as many steps",
    )


def convolutions(now: Situation) -> Change | None:
    if not now.inputs.CONVOLUTIONS or now.architecture.get("CONVOLUTIONAL"):
        return None
    layers = {
        f"train.network.{key}": None for key, value in now.params.train.network if value is not None
    }
    return Change(
        "convolutions",
        {"train.architecture": now.inputs.CONVOLUTIONS, **layers},
        "they share weights over all positions, so what is learned at one applies at all",
    )


def augmentation(now: Situation) -> Change | None:
    if not now.inputs.AUGMENTATION or now.params.train.augmentation:
        return None
    cost = "though every epoch then computes the frozen layers" if now.is_backbone else "at no cost"
    unless = " of the same number, unless it is a place" * (now.params.problem.unit is not None)
    return Change(
        "augmentation",
        {"train.augmentation": [TRANSLATION]},
        f"slightly shifted images are new images{unless}, {cost}",
    )


def dropout(now: Situation) -> Change | None:
    rate = now.params.train.network.dropout
    own_dropout = rate is None and now.architecture.get("OWN_DROPOUT")
    if isinstance(rate, list) or (rate or 0) >= 0.5 or own_dropout:
        return None
    higher = 0.5 if rate else 0.3
    return Change(
        f"dropout {higher}",
        {"train.network.dropout": higher},
        "randomly dropped units cannot rely on each other to memorize examples",
    )


def weight_penalty(now: Situation) -> Change | None:
    if now.is_backbone or now.params.train.network.kernel_regularizer is not None:
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
        "fewer weights cannot memorize every example",
    )


def fewer_layers(now: Situation) -> Change | None:
    if len(now.hidden) <= 2:
        return None
    fewer = [max(now.hidden[0], 16)] * 2
    return Change(
        f"two layers: {fewer}",
        {"train.network.hidden": fewer},
        "with fewer layers more of the gradient reaches the first one",
    )


def more_capacity(now: Situation) -> Change | None:
    if not now.hidden or max(now.hidden) >= 1024:
        return None
    doubled = [2 * units for units in now.hidden]
    return Change(
        f"twice the units: {doubled}",
        {"train.network.hidden": doubled},
        "even the training set is not fitted well: more units can separate more",
    )


def longer(now: Situation) -> Change | None:
    epochs = max(FEWEST_EPOCHS, 2 * now.params.train.epochs)
    if now.verdict == "too_few_epochs":
        reason = "so few epochs allow no verdict: more of them show what is wrong"
    elif now.verdict == "stopped_early":
        reason = "the losses are still falling: more epochs let them converge"
    else:
        reason = (
            "the schedule stretches with the epochs, and a rate that falls more slowly ends at a"
            " lower loss"
        )
    return Change(f"{epochs} epochs", {"train.epochs": epochs}, reason)


def annealing(now: Situation) -> Change | None:
    if now.params.train.schedule == "cosine":
        return None
    return Change(
        "cosine schedule",
        {"train.schedule": "cosine", "train.warmup": 0.15},
        "a rate that falls to zero lets the weights settle; a constant one keeps them moving",
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
        "Adam is the best first choice, at its usual rate; its weight decay regularizes",
    )


def larger_batches(now: Situation) -> Change | None:
    size, rate = now.params.train.batch_size, now.params.train.learning_rate
    if size == "full" or size >= 128 or now.available < FEWEST_BATCHES * 128:
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
    has_normalization = now.params.train.network.normalization not in (None, "none")
    if has_normalization or now.architecture.get("CONVOLUTIONAL"):
        return None
    return Change(
        "batch normalization",
        {"train.network.normalization": "before"},
        "normalized inputs keep the activations of every layer where their gradient is large",
    )


def slower(now: Situation) -> Change | None:
    rate = rounded(now.params.train.learning_rate / 10)
    return Change(
        f"learning rate {rate:.3g}",
        {"train.learning_rate": rate},
        "the steps are too long: they jump over the minimum",
    )


def faster(now: Situation) -> Change | None:
    rate = min(LARGEST_RATE, rounded(5 * now.params.train.learning_rate))
    if rate <= now.params.train.learning_rate:
        return None
    return Change(
        f"learning rate {rate:.3g}",
        {"train.learning_rate": rate},
        "the losses fall slowly and steadily: larger steps get there sooner",
    )


def relu(now: Situation) -> Change | None:
    network = now.params.train.network
    has_both = network.activation in (None, "relu") and network.kernel_initializer == "HeNormal"
    if has_both or now.is_backbone:
        return None
    return Change(
        "ReLU with He's initialization",
        {"train.network.activation": "relu", "train.network.kernel_initializer": "HeNormal"},
        "its gradient does not shrink from layer to layer, and the spread of the weights fits it",
    )


def class_weights(now: Situation) -> Change | None:
    if not now.neglects_classes or now.params.train.class_weights is not None:
        return None
    return Change(
        "class weights",
        {"train.class_weights": "balanced"},
        "rare classes are recognized badly, because a mistake on them hardly counts: weighted, each"
        " class counts the same in the loss",
    )


def larger_validation(now: Situation) -> Change | None:
    if not now.small_validation or now.params.preprocess.validation == 0.2:
        return None
    return Change(
        "a fifth for validation",
        {"preprocess.validation": 0.2},
        "more validation examples narrow the interval of its score",
    )


def random_split(now: Situation) -> Change | None:
    if now.params.preprocess.order == "stratified":
        return None
    return Change(
        "stratified split",
        {"preprocess.order": "stratified"},
        "drawn at random within each class, the sets look alike",
    )


Remedy = Callable[[Situation], Change | None]

REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "overfit": (
        more_data,
        convolutions,
        thaw,
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
        thaw,
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
    "ignored_classes": (class_weights, random_split, more_data, longer, more_capacity),
    "unrepresentative_training": (random_split, more_data, augmentation),
    # Nothing is wrong, and yet the model is not good enough.
    "good_fit": (
        class_weights,
        more_data,
        convolutions,
        thaw,
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
