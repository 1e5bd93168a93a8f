"""Features: what the frozen layers make of each image, computed once instead of in every epoch.

While all layers up to some point are frozen and nothing in them is random, they give the same
numbers in every epoch. The layers after that point then train on these numbers, in seconds. They
lie in .state/features, in parts of a few hundred images, under a hash of the frozen layers and of
the part's images: an interrupted computation goes on where it was, and another training of the
same images finds them. With augmentation, images differ in every epoch, so there is nothing to
compute once.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import track

from pipeline.files import artifacts, digests
from pipeline.files.artifacts import Array
from pipeline.process import stage
from pipeline.training import keras_files
from pipeline.training.batches import Data, Split

FOLDER = artifacts.STATE / "features"
PART = 256  # images


class Parts:
    """The rows of several arrays of PART rows each (the last may have fewer), as one array."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.arrays, self.dtype = arrays, arrays[0].dtype
        self.shape = (sum(map(len, arrays)), *arrays[0].shape[1:])

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Array) -> Array:
        return np.stack([self.arrays[row // PART][row % PART] for row in rows])


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
        """The features of the training set and the validation set."""
        return replace(data, train=self._of(data.train), validation=self._of(data.validation))

    def _of(self, split: Split) -> Split:
        images, labels = split
        folder = stage.home() / FOLDER / _key(self.body)
        paths = {start: _path(folder, images, start) for start in range(0, len(labels), PART)}
        missing = sum(not path.exists() for path in paths.values())
        if missing:
            print(f"computing the features of {len(labels):,} images, once", flush=True)
        began, done, arrays = time.perf_counter(), 0, []
        parts = track(paths.items(), "features", transient=True, disable=not missing)
        for start, path in parts:
            array = _load(path, len(images[start : start + PART]))
            if array is None:
                artifacts.save_array(path, _compute(self.body, images[start : start + PART]))
                array = artifacts.load_array(path)
                done += 1
                if done == 1 and missing > 1:
                    left = (missing - 1) * (time.perf_counter() - began)
                    print(f"features: about {stage.duration(left)} left", flush=True)
            arrays.append(array)
        return Parts(arrays), labels  # type: ignore[return-value]


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
    layers = [f"{type(layer).__name__} {layer.output.shape}" for layer in body.layers]
    return digests.of_facts(
        [keras.version(), keras.backend.backend(), *layers, weights.hexdigest()]
    )


def _path(folder: Path, images: Array, start: int) -> Path:
    part = np.ascontiguousarray(images[start : start + PART])
    digest = hashlib.sha256(f"{part.shape} {part.dtype}".encode())
    digest.update(part.tobytes())
    return folder / f"{digest.hexdigest()[:32]}.npy"


def _load(path: Path, rows: int) -> Array | None:
    """The features of a part; None if they are not there, or the file is damaged."""
    try:
        array = artifacts.load_array(path)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array if len(array) == rows else None


def _compute(body: keras.Model, images: Array) -> Array:
    """The features of at most PART images.

    The last batch is filled up with copies, because TensorFlow compiles a large network anew for
    every size of a batch, which takes seconds.
    """
    size = min(PART, keras_files.batch_size(images))
    rows: list[Any] = []
    for start in range(0, len(images), size):
        batch = np.asarray(images[start : start + size])
        filled = np.resize(batch, (size, *batch.shape[1:]))
        rows.append(body.predict_on_batch(filled)[: len(batch)])
    return np.concatenate(rows)
