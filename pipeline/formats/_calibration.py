"""The calibration images as the int8 formats take them."""

from __future__ import annotations

import keras

from pipeline.files.artifacts import Array


def takes_ids(model: keras.Model) -> bool:
    return bool(model.inputs[0].dtype == "int32")


def whole_range(calibration: Array, model: keras.Model) -> Array:
    """The calibration images with every value of a byte in their range; ids as they are.

    From images without a 0 or a 255 a converter would take a narrower range, and clip the pixels of
    a device that reach beyond it; so the first image lends a corner where they are missing.
    """
    images = calibration.copy()
    for place, extreme in () if takes_ids(model) else ((0, 0), (-1, 255)):
        if extreme not in images:
            images[0].flat[place] = extreme
    return images
