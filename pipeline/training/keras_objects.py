"""Keras's own objects by the names and configs of params.yaml; a wrong one is answered with what Keras allows there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import activations, layers

from pipeline.config.params import KerasObject, Name
from pipeline.process.errors import UserError


def classes(module: Any, base: type) -> dict[str, type]:
    """The public classes of a Keras module below `base`, under each of their names (`L2` and `l2`)."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def make(key: str, value: Name, allowed: dict[str, type], **more: Any) -> Any:
    """The object that `value` names, with `more` where its config says nothing. Raises UserError with what is allowed."""
    name, config = (value, {}) if isinstance(value, str) else (value.class_name, value.config)
    if name not in allowed:
        names = sorted({found.__name__ for found in allowed.values()})
        raise UserError(f"{key} is {name!r}; allowed are {', '.join(names)}")
    try:
        return allowed[name](**{**more, **config})
    except (TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{key}: {name} refuses its config: {reason}; it takes {', '.join(parameters(allowed[name]))}"
        ) from None


def parameters(found: type) -> list[str]:
    """What the class takes, and what it hands on to the classes below it."""
    every: dict[str, None] = {}
    for parent in found.__mro__[:-1]:
        if "__init__" in vars(parent):
            every |= dict.fromkeys(inspect.signature(vars(parent)["__init__"]).parameters)
    return [name for name in every if name not in ("self", "args", "kwargs")]


def optimizer(value: Name, learning_rate: Any) -> keras.Optimizer:
    return make(
        "train.optimizer",
        value,
        classes(keras.optimizers, keras.Optimizer),
        learning_rate=learning_rate,
    )


def loss(value: Name) -> keras.Loss:
    return make("train.loss", value, classes(keras.losses, keras.Loss))


def metric(key: str, value: Name) -> keras.Metric:
    return make(key, value, classes(keras.metrics, keras.Metric))


def initializer(value: Name) -> keras.Initializer:
    return make(
        "train.network.kernel_initializer", value, classes(keras.initializers, keras.Initializer)
    )


def regularizer(value: Name | None) -> keras.Regularizer | None:
    if value is None:
        return None
    return make(
        "train.network.kernel_regularizer", value, classes(keras.regularizers, keras.Regularizer)
    )


def augmentation(index: int, value: KerasObject, seed: int) -> keras.Layer:
    key = f"train.augmentation[{index}]"
    return make(key, value, _layers(lambda name, _: name.startswith("Random")), seed=seed)


def dropout(value: Name, rate: float) -> keras.Layer:
    return make(
        "train.network.dropout_layer", value, _layers(lambda name, _: "Dropout" in name), rate=rate
    )


def activation(value: Name) -> keras.Layer:
    """A function of keras.activations by its name, or one of Keras's activation layers, such as PReLU, by class name and config."""
    functions = sorted(set(dir(activations)) - {"get", "serialize", "deserialize"})
    if value in [name for name in functions if not name.startswith("_")]:
        return layers.Activation(value)
    kinds = _layers(lambda _, found: _of_activations(found))
    name = value if isinstance(value, str) else value.class_name
    if name not in kinds:
        known = ", ".join(
            [*(name for name in functions if not name.startswith("_")), *sorted(kinds)]
        )
        raise UserError(f"train.network.activation is {name!r}; allowed are {known}")
    return make("train.network.activation", value, kinds)


def is_activation(layer: keras.Layer) -> bool:
    """Whether the layer is a function of its input alone, as `activation` makes them."""
    return _of_activations(type(layer))


def _of_activations(found: type) -> bool:
    return ".activations." in found.__module__


def _layers(wanted: Callable[[str, type], bool]) -> dict[str, type]:
    return {
        name: found for name, found in classes(layers, keras.Layer).items() if wanted(name, found)
    }
