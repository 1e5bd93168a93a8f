"""Augmentation: the Keras layers that `train.augmentation` names, or one of its presets.

Most layers change each image by itself, within the model that is trained. MixUp and CutMix mix two
images and their labels, so they run where batches are made, before the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from pipeline.config.params import KerasObject, Train
from pipeline.files.artifacts import Array
from pipeline.process.errors import UserError
from pipeline.training import distribution, keras_objects

NEED_COLOUR = ("RandomColorDegeneration",)  # left out of a preset if images are grey


def _layers(**configs: dict[str, Any]) -> list[KerasObject]:
    return [KerasObject(class_name=name, config=config) for name, config in configs.items()]


# Shifting and zooming in is a random crop. Keras fills what a photo leaves empty by reflection.
PRESETS = {
    "digits": _layers(
        RandomTranslation={"height_factor": 0.06, "width_factor": 0.06, "fill_mode": "constant"},
    ),
    "photos_light": _layers(
        RandomFlip={"mode": "horizontal"},
        RandomTranslation={"height_factor": 0.1, "width_factor": 0.1},
        RandomZoom={"height_factor": [-0.2, 0.0]},
        RandomRotation={"factor": 0.03},
        RandomBrightness={"factor": 0.1},
    ),
    "photos_strong": _layers(
        RandomFlip={"mode": "horizontal"},
        RandomTranslation={"height_factor": 0.15, "width_factor": 0.15},
        RandomZoom={"height_factor": [-0.4, 0.1]},
        RandomRotation={"factor": 0.1},
        RandomBrightness={"factor": 0.2},
        RandomContrast={"factor": 0.3},
        RandomColorDegeneration={"factor": 0.5},
        MixUp={"alpha": 0.2},
    ),
    # Erasing masks times and tones (Park and others, 2019, "SpecAugment").
    "speech": _layers(
        RandomVoice={},
        RandomMicrophone={},
        RandomErasing={"factor": 0.8, "scale": [0.02, 0.15], "fill_value": 0},
    ),
}


def objects(params: Train, shape: tuple[int, ...]) -> list[KerasObject]:
    """The layers of `train.augmentation` for inputs of `shape`, (H, W, C) for images."""
    if not isinstance(params.augmentation, str):
        return params.augmentation
    preset = PRESETS[params.augmentation]
    return [item for item in preset if shape[-1] == 3 or item.class_name not in NEED_COLOUR]


def layers(params: Train, shape: tuple[int, ...]) -> list[keras.Layer]:
    """The layers for single images. Raises UserError for an unknown name or config."""
    return [
        layer for layer in _all(params, shape) if type(layer).__name__ not in keras_objects.MIXING
    ]


def mixing(params: Train, shape: tuple[int, ...], sparse: bool) -> list[keras.Layer]:
    """MixUp and CutMix, if they are named. Raises UserError if labels are integers."""
    result = [
        layer for layer in _all(params, shape) if type(layer).__name__ in keras_objects.MIXING
    ]
    if result and sparse:
        raise UserError(
            f"train.augmentation: {type(result[0]).__name__} mixes labels, and the loss takes "
            "integer labels; expected with it CategoricalCrossentropy, which is the same loss"
        )
    return result


def _all(params: Train, shape: tuple[int, ...]) -> list[keras.Layer]:
    return [
        keras_objects.augmentation(index, item, params.seed + index)
        for index, item in enumerate(objects(params, shape))
    ]


def mixed(
    images: Array, labels: Array, layers: Sequence[keras.Layer], seed: int
) -> tuple[Array, Array]:
    """A batch of images and one-hot labels, mixed by each layer in turn; `seed` decides how."""
    for index, layer in enumerate(layers):
        batch = {"images": images, "labels": labels}
        with distribution.alone():
            generator = keras.random.SeedGenerator(seed + index)
        how = layer.get_random_transformation(batch, training=True, seed=generator)
        images = keras.ops.convert_to_numpy(layer.transform_images(images, how))
        labels = keras.ops.convert_to_numpy(layer.transform_labels(labels, how))
    return images, labels
