"""Keras objects by the names and configs in params.yaml; errors list what Keras offers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import activations, layers

from pipeline.config.params import KerasObject, Name
from pipeline.process.errors import UserError
from pipeline.training.sound_augmentation import RandomMicrophone, RandomVoice
from pipeline.training.turning import RandomTurn

MIXING = ("MixUp", "CutMix")  # augmentation that mixes the images and labels of a batch
UNCOMPILABLE = ("RandomCrop",)  # augmentation that JAX cannot compile

# Augmentation for the kind of input that KIND names; all other is for images.
OWN = {kind.__name__: kind for kind in (RandomMicrophone, RandomTurn, RandomVoice)}


def classes(module: Any, base: type) -> dict[str, type]:
    """The public subclasses of `base` in a Keras module, under each of their names (`L2`, `l2`)."""
    values = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def make(key: str, value: Name, classes_by_name: dict[str, type], **defaults: Any) -> Any:
    """The object that `value` names; its config overrides `defaults`.

    Raises UserError for an unknown name or config; `key` is the place in params.yaml.
    """
    name, config = (value, {}) if isinstance(value, str) else (value.class_name, value.config)
    if name not in classes_by_name:
        names = sorted({kind.__name__ for kind in classes_by_name.values()})
        raise UserError(f"{key} is {name!r}; expected one of {', '.join(names)}")
    kind = classes_by_name[name]
    try:
        return kind(**{**defaults, **config})
    except (TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{key}: {name} rejects its config: {reason}; it takes {', '.join(parameters(kind))}"
        ) from None


def parameters(kind: type) -> list[str]:
    """The parameters of the class and of its base classes."""
    names: dict[str, None] = {}
    for parent in kind.__mro__[:-1]:
        if "__init__" in vars(parent):
            names |= dict.fromkeys(inspect.signature(vars(parent)["__init__"]).parameters)
    return [name for name in names if name not in ("self", "args", "kwargs")]


def optimizer(value: Name, learning_rate: Any) -> keras.Optimizer:
    optimizers = classes(keras.optimizers, keras.Optimizer)
    return make("train.optimizer", value, optimizers, learning_rate=learning_rate)


def loss(value: Name) -> keras.Loss:
    return make("train.loss", value, classes(keras.losses, keras.Loss))


def metric(key: str, value: Name) -> keras.Metric:
    return make(key, value, classes(keras.metrics, keras.Metric))


def initializer(value: Name) -> keras.Initializer:
    initializers = classes(keras.initializers, keras.Initializer)
    return make("train.network.kernel_initializer", value, initializers)


def regularizer(value: Name | None) -> keras.Regularizer | None:
    if value is None:
        return None
    regularizers = classes(keras.regularizers, keras.Regularizer)
    return make("train.network.kernel_regularizer", value, regularizers)


def augmentation(index: int, value: KerasObject, seed: int) -> keras.Layer:
    """The layer that is the item `index` of `train.augmentation`.

    Keras compiles no model with a layer that TensorFlow's XLA cannot compile, on JAX either. There
    each operation would run by itself: with RandomTranslation an epoch took six times as long.
    """
    key = f"train.augmentation[{index}]"
    random_layers = _layers(lambda name, _: name.startswith("Random") or name in MIXING)
    layer = make(key, value, random_layers | OWN, seed=seed)
    if keras.backend.backend() == "jax" and type(layer).__name__ not in UNCOMPILABLE:
        layer.supports_jit = True
    return layer


def dropout(value: Name, rate: float) -> keras.Layer:
    dropout_layers = _layers(lambda name, _: "Dropout" in name)
    return make("train.network.dropout_layer", value, dropout_layers, rate=rate)


def activation(value: Name) -> keras.Layer:
    """An activation: a function of keras.activations by name, or a layer, such as PReLU."""
    functions = sorted(set(dir(activations)) - {"get", "serialize", "deserialize"})
    functions = [name for name in functions if not name.startswith("_")]
    if value in functions:
        return layers.Activation(value)
    kinds = _layers(lambda _, kind: _is_activation_class(kind))
    name = value if isinstance(value, str) else value.class_name
    if name not in kinds:
        names = ", ".join([*functions, *sorted(kinds)])
        raise UserError(f"train.network.activation is {name!r}; expected one of {names}")
    return make("train.network.activation", value, kinds)


def is_activation(layer: keras.Layer) -> bool:
    """Whether the layer is one that `activation` makes."""
    return _is_activation_class(type(layer))


def _is_activation_class(kind: type) -> bool:
    return ".activations." in kind.__module__


def _layers(matches: Callable[[str, type], bool]) -> dict[str, type]:
    return {
        name: kind for name, kind in classes(layers, keras.Layer).items() if matches(name, kind)
    }
