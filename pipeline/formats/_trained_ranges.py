"""The ranges of a quantization-aware training in a calibrated TensorFlow Lite file.

The names of tensors in a file are the converter's own, and it fuses layers. But a tensor has the
values of the Keras layer that it comes from, so both are recognized by the range that they have on
the calibration inputs.
"""

from __future__ import annotations

import keras
import numpy as np
from tensorflow.lite.tools import flatbuffer_utils

from pipeline.files.artifacts import Array
from pipeline.formats import _calibration
from pipeline.formats._calibration import Range
from pipeline.training import keras_files
from pipeline.training.keras_files import Ranges

SAME = 1e-4  # of a range: kernels add in different orders


def assigned(calibrated: bytes, model: keras.Model, trained: Ranges, calibration: Array) -> bytes:
    """The calibrated file with the trained range of each tensor that comes from a layer."""
    file = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
    graph = file.subgraphs[0]
    observed = layer_ranges(model, list(trained), calibration)
    measured = _calibration.ranges(calibrated, _calibration.results(graph), calibration)
    for index, extremes in measured.items():
        names = [name for name, seen in observed.items() if is_same(seen, extremes)]
        if names:
            low, high = trained[names[0]]
            recorded = graph.tensors[index].quantization
            recorded.min, recorded.max = (np.array([bound], np.float32) for bound in (low, high))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(file))


def is_same(first: Range, second: Range) -> bool:
    return float(np.abs(np.subtract(first, second)).max()) <= SAME * (second[1] - second[0])


def layer_ranges(model: keras.Model, names: list[str], inputs: Array) -> dict[str, Range]:
    """The lowest and highest output of each of these layers on raw inputs (N, ...)."""
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    size = keras_files.batch_size(inputs)
    batches = [
        [(float(part.min()), float(part.max())) for part in outputs.predict_on_batch(batch)]
        for batch in (inputs[start : start + size] for start in range(0, len(inputs), size))
    ]
    bounds = np.array(batches)  # (batches, layers, 2)
    lows, highs = bounds[..., 0].min(0), bounds[..., 1].max(0)
    return {
        name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)
    }
