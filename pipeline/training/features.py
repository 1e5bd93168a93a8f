"""Features: what the frozen layers make of each image, computed once instead of in every epoch.

While all layers up to some point are frozen and nothing in them is random, they give the same
numbers in every epoch. The layers after that point then train on these numbers, in seconds. They
lie in .state/features, under a hash of the frozen layers, each with the digest of its image: an
interrupted computation goes on where it was, and other trainings, such as folds, compute only the
images that no training had before. With augmentation or made-up outliers, images differ in every
epoch, so there is nothing to compute once.

An image has the same features, to the bit, in whichever batch they were computed, because all
batches have the same size.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import keras
import numpy as np
from rich.progress import track

from pipeline.files import artifacts, atomic, digests
from pipeline.files.artifacts import Array
from pipeline.process import stage
from pipeline.training import keras_files
from pipeline.training.batches import Data
from pipeline.training.feature_store import Store

FOLDER = artifacts.STATE / "features"
PART = 256  # images


@dataclass(frozen=True)
class Divided:
    """A model in two: `body`, the frozen layers, and `network`, which trains those after them.

    The layers are those of `model`; `weights` are its weights before the first step.
    """

    model: keras.Model
    body: keras.Model
    network: keras.Model
    weights: list[Array]

    def reset(self) -> None:
        """Gives the model the weights from before the first step."""
        self.model.set_weights(self.weights)

    def copy_to(self, other: keras.Model) -> None:
        """Gives the weights to a copy of the model, which may share some of the layers."""
        other.set_weights(self.model.get_weights())

    def data(self, data: Data) -> Data:
        """The features of the training set, the validation set, and the others if there are any."""
        train, validation = (
            (self._of(images), labels) for images, labels in (data.train, data.validation)
        )
        others = None if data.others is None else self._of(data.others)
        return replace(data, train=train, validation=validation, others=others)

    def _of(self, images: Array) -> Array:
        features = self.body.outputs[0]
        folder = stage.home() / FOLDER / _key(self.body)
        store = Store(folder, features.shape[1:], features.dtype)
        numbers = digests.of_examples(images)
        if len(store.missing(numbers)):
            # Two trainings at once, such as folds with two workers, share the work.
            with atomic.alone(folder):
                self._add(store, images, numbers)
        return store.find(numbers)  # type: ignore[return-value]

    def _add(self, store: Store, images: Array, numbers: Array) -> None:
        """Computes what the store lacks of the images, which have these digests."""
        missing = store.missing(numbers)
        parts = [missing[start : start + PART] for start in range(0, len(missing), PART)]
        if parts:
            print(f"computing the features of {len(missing):,} images, once", flush=True)
        began = time.perf_counter()
        for done, rows in enumerate(track(parts, "features", transient=True, disable=not parts)):
            if done == 1:
                left = (len(parts) - 1) * (time.perf_counter() - began)
                print(f"features: about {stage.duration(left)} left", flush=True)
            store.add(numbers[rows], _compute(self.body, images, rows))


def divide(model: keras.Model, shape: tuple[int, ...]) -> Divided | None:
    """The model divided after its frozen layers; None if it has none, or nothing would be gained.

    `shape` is that of an input. Its features must not take more memory than it does as float32.
    """
    for layer in reversed(list(takewhile(_is_fixed, model.layers))):
        features = layer.output
        if math.prod(features.shape[1:]) > math.prod(shape):
            continue
        try:
            head = keras.Model(features, model.outputs[0])
        except ValueError:  # later layers also take the output of an earlier one
            continue
        inputs = keras.Input(features.shape[1:], dtype=features.dtype)
        network = keras.Sequential([inputs, head], name="training")
        body = keras.Model(model.inputs[0], features)
        return Divided(model, body, network, model.get_weights())
    return None


def _is_fixed(layer: keras.Layer) -> bool:
    """Whether the layer gives the same output for an image in every epoch."""
    is_random = getattr(layer, "seed_generator", None) is not None
    is_normalization = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    return not (is_random or is_normalization or layer.trainable_weights)


def _key(body: keras.Model) -> str:
    """A hash of the frozen layers and of what computes them."""
    weights = hashlib.sha256()
    for weight in body.get_weights():
        weights.update(np.ascontiguousarray(weight).tobytes())
    # Keras counts names up, so the same layers have other names in the next model.
    names = {layer.name: str(number) for number, layer in enumerate(body.layers)}
    layers = _renamed({**body.get_config(), "name": ""}, names)
    return digests.of_facts(
        [keras.version(), keras.backend.backend(), json.dumps(layers), weights.hexdigest()]
    )


def _renamed(config: Any, names: dict[str, str]) -> Any:
    """A Keras config with other names of the layers."""
    if isinstance(config, dict):
        return {key: _renamed(value, names) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_renamed(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config


def _compute(body: keras.Model, images: Array, numbers: Array) -> Array:
    """The features of the images (M,) with these numbers, at most PART.

    All batches have the same size, the last one filled up with copies: an image then has the same
    features in any batch, and TensorFlow does not compile a large network anew for another size,
    which takes seconds.
    """
    size = math.ceil(PART / math.ceil(PART / keras_files.batch_size(images)))
    features: list[Any] = []
    for start in range(0, len(numbers), size):
        batch = np.asarray(images[numbers[start : start + size]])
        filled = np.resize(batch, (size, *batch.shape[1:]))
        features.append(body.predict_on_batch(filled)[: len(batch)])
    return np.concatenate(features)
