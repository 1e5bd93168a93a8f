"""Calibration images for the int8 formats."""

from __future__ import annotations

import keras

from pipeline.files.artifacts import Array


def takes_ids(model: keras.Model) -> bool:
    return bool(model.inputs[0].dtype == "int32")


def whole_range(calibration: Array, model: keras.Model) -> Array:
    """The calibration images, changed so that they contain 0 and 255; ids unchanged.

    Without a 0 or a 255 a converter would assume a narrower range, and clip a device's pixels that
    exceed it. If they are missing, a corner pixel of the first image gets the value.
    """
    images = calibration.copy()
    if takes_ids(model):
        return images
    for corner, extreme in ((0, 0), (-1, 255)):
        if extreme not in images:
            images[0].flat[corner] = extreme
    return images
