"""Takes a model that somebody else trained in place of training one.

Raw pixels go in and probabilities come out, as of every model here: what the model lacks for that
is put around it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.config.own_model import OwnModel
from pipeline.config.parts import declared, one_class_each
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.files.reports.train import Origin
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.training import (
    foreign_file,
    input_scaling,
    keras_files,
    learning_curves,
    temperature,
)
from pipeline.training.batches import Data
from pipeline.training.input_scaling import Scaling
from pipeline.training.learning_curves import Row
from pipeline.training.temperature import LEAST

TOLERANCE = 1e-2  # of the sum of probabilities


@dataclass(frozen=True)
class TakenModel:
    model: keras.Model
    origin: Origin


def take(settings: OwnModel, data: Data, class_names: list[str]) -> TakenModel:
    """The model of `settings`, made to take raw pixels and to give probabilities.

    Prints how well it answers under each scaling. Raises UserError if the file or what it answers
    does not fit the data.
    """
    check_data(data)
    keras_files.make_deterministic()
    keras.utils.clear_session()
    network = foreign_file.load(Path(settings.path))
    check_shapes(settings.path, network, data)
    order = output_order(settings, class_names)
    scalings = input_scaling.candidates(settings, data.train[0])
    with imports.quiet():
        results = input_scaling.results(network, data.validation, scalings, order)
    name = input_scaling.best(settings, results, np.asarray(data.validation[1]))
    input_scaling.check_order(settings, results[name], class_names, order)
    has_probabilities = gives_probabilities(settings.path, results[name].outputs)
    with imports.quiet():
        model = assembled(network, data, scalings[name], has_probabilities, order)
    origin = Origin(
        file=Path(settings.path).name,
        sha256=artifacts.sha256(Path(settings.path)),
        source=settings.source,
        scaling=input_scaling.in_words(name, scalings[name]),
        images=len(results[name].right),
        accuracies={name: result.accuracy for name, result in results.items()},
        labels=settings.labels,
        softmax_added=not has_probabilities,
    )
    return TakenModel(model, origin)


def measure(model: keras.Model, data: Data, outputs: Array) -> Row:
    """The model as epoch 0 of the learning curves; `outputs` are those of the validation set.

    Of the training set it sees as many examples as there are for validation.
    """
    images, labels = data.train
    count = min(len(labels), len(outputs))
    rows = np.linspace(0, len(labels) - 1, count).astype(int)
    start = time.perf_counter()
    trained = keras_files.probabilities(model, images[rows])
    seconds = time.perf_counter() - start
    train = _scores(trained, np.asarray(labels[rows]))
    validation = _scores(outputs, np.asarray(data.validation[1]))
    return {
        learning_curves.EPOCH: 0,
        **dict(zip(learning_curves.MEASURES, (*train, *validation), strict=True)),
        learning_curves.LEARNING_RATE: 0.0,
        learning_curves.SECONDS: seconds,
        learning_curves.IMAGES_PER_SECOND: count / seconds,
    }


def _scores(outputs: Array, labels: Array) -> tuple[float, float]:
    """The cross-entropy and the accuracy of probabilities (N, K)."""
    right = np.maximum(outputs[np.arange(len(labels)), labels], LEAST)
    return float(-np.log(right).mean()), float((outputs.argmax(1) == labels).mean())


def check_data(data: Data) -> None:
    """Raises UserError unless the data are images of one class each."""
    kind = declared("inputs", data.kind)
    if not kind["IMAGES"] or not one_class_each(data.target):
        raise UserError(
            f"model.path takes a classifier of images, and the dataset holds {kind['NOUN']} and "
            f"asks for {data.target}; expected images of one class each"
        )


def check_shapes(path: str, network: keras.Model, data: Data) -> None:
    """Raises UserError unless the model fits the size of the images and the number of classes."""
    shapes = (network.input_shape, network.output_shape)
    if any(not isinstance(shape, tuple) for shape in shapes):
        raise UserError(f"{path} has several inputs or outputs; expected one of each")
    takes, gives = (tuple(shape[1:]) for shape in shapes)
    image = tuple(data.inputs.shape)
    if not _fits(takes, image):
        raise UserError(
            f"{path} takes inputs of shape {takes}, and the images of the dataset are {image}; "
            "expected the same height, width and channels: change dataset.height, width and "
            "channels, or take another model"
        )
    binary = gives == (1,) and data.num_classes == 2
    if gives != (data.num_classes,) and not binary:
        raise UserError(
            f"{path} gives outputs of shape {gives}, and the dataset has {data.num_classes} "
            f"classes; expected ({data.num_classes},), one output for each class"
        )


def _fits(takes: tuple[int | None, ...], image: tuple[int, ...]) -> bool:
    """Whether images fit as they are, as grey images without channel, or as one row of pixels."""
    if takes in ((int(np.prod(image)),), image[:2] if image[2] == 1 else None):
        return True
    return len(takes) == len(image) and all(
        size in (None, other) for size, other in zip(takes, image, strict=True)
    )


def output_order(settings: OwnModel, class_names: list[str]) -> list[int]:
    """For each class of the dataset the output of the model. Raises UserError."""
    names = settings.labels or class_names
    if sorted(names) != sorted(class_names):
        raise UserError(
            f"model.labels is {', '.join(names)}, and the dataset has the classes "
            f"{', '.join(class_names)}; expected the same names, in the order of the model"
        )
    return [names.index(name) for name in class_names]


def gives_probabilities(path: str, outputs: Array) -> bool:
    """Whether outputs (N, K) are probabilities, and not logits. Raises UserError for others."""
    if not np.isfinite(outputs).all():
        raise UserError(f"{path} gives NaN or infinity for images of the dataset")
    if outputs.min() < -TOLERANCE or outputs.max() > 1 + TOLERANCE:
        return False
    if outputs.shape[1] > 1 and np.abs(outputs.sum(1) - 1).max() > TOLERANCE:
        raise UserError(
            f"{path} gives values from 0 to 1 that do not add up to 1, such as a sigmoid for each "
            "class; expected probabilities of a softmax, or logits"
        )
    return True


def assembled(
    network: keras.Model,
    data: Data,
    scaling: Scaling,
    has_probabilities: bool,
    order: list[int],
) -> keras.Model:
    """Raw pixels -> scaling -> the network -> probabilities in the dataset's order."""
    image = keras.Input(data.inputs.shape, name="image")
    values = image
    if scaling != input_scaling.SCALINGS["raw"]:
        values = rescaling(scaling)(values)
    if len(network.input_shape) != len(values.shape):
        values = layers.Reshape(network.input_shape[1:])(values)
    outputs = network(values)
    if not has_probabilities:
        single = network.output_shape[-1] == 1
        outputs = layers.Activation("sigmoid" if single else "softmax")(outputs)
    for layer in _reordering(network, order):
        outputs = layer(outputs)
    return keras.Model(image, outputs, name="taken")


def rescaling(scaling: Scaling) -> keras.Layer:
    """What scales pixels and orders their channels, in operators that every runtime has."""
    mean, deviation = np.broadcast_arrays(*(np.asarray(value, float) for value in scaling[:2]))
    scale, offset = [1 / value for value in deviation], list(-mean / deviation)
    if scaling.bgr:
        layer = layers.Conv2D(3, 1, name="bgr")
        layer.build((None, None, None, 3))
        kernel = np.eye(3)[::-1] * scale  # (in, out)
        layer.set_weights([kernel[None, None], np.broadcast_to(offset, 3)])
        return layer
    if len(scale) == 1:
        return layers.Rescaling(float(scale[0]), float(offset[0]))
    return layers.Rescaling([float(x) for x in scale], [float(x) for x in offset])


def _reordering(network: keras.Model, order: list[int]) -> list[Any]:
    """What puts the outputs in this order: no layer at all, if the last weights can be ordered.

    One output p for two classes becomes 1 - p and p.
    """
    if network.output_shape[-1] == 1:
        kernel, bias = np.array([[-1.0, 1.0]]), np.array([1.0, 0.0])
        return [_dense(kernel[:, order], bias[order])]
    if order == list(range(len(order))):
        return []
    if (last := temperature.output_layer(network)) is not None:
        last.set_weights([weights[..., order] for weights in last.get_weights()])
        return []
    return [_dense(np.eye(len(order))[:, order], np.zeros(len(order)))]


def _dense(kernel: Array, bias: Array) -> keras.Layer:
    layer = layers.Dense(kernel.shape[1])
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel, bias])
    return layer
