"""The ranges of inner tensors, and the integer file that they lead to.

TensorFlow's calibrator reads a tensor after the next operator has run. Operators such as ADD may
write their result over an input, and then the calibrator takes the range of both. So in a
network with residuals the range of every branch before a sum came out up to 2.6 times too wide,
and that of scaled pixels before an offset 1.5 times: a bit and more of eight is lost. Here such
ranges are measured again, with every tensor in memory of its own. Where nothing is overwritten,
the file has the same bytes as the converter's.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import util
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from pipeline.files.artifacts import Array
from pipeline.formats import _tflite
from pipeline.runtimes import inner_tensors

# Kernels add in different orders, so equal ranges differ in their last digits.
ROUNDING = 1e-3  # of the range

Range = tuple[float, float]


def calibrated(model: keras.Model, calibration: Array) -> bytes:
    """The float32 file with the range of each inner tensor on raw inputs (N, ...)."""
    with _tflite.converter(model, model.inputs[0].dtype) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _tflite.representative(calibration, model)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter._experimental_calibrate_only = True
        data = bytes(converter.convert())
    return corrected(data, calibration)


def quantized(calibrated: bytes, input_type: Any, in_float: list[str]) -> bytes:
    """The int8 file of a calibrated one; the operators `in_float` stay in float.

    The converter adds its metadata to a file at the end, and so does this.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
    model.metadata = []
    data = mlir_quantize(
        bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
        input_data_type=input_type,
        output_data_type=tf.float32,
        denylisted_ops=in_float or None,
        disable_per_channel_for_dense_layers=True,
    )
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    about = util.get_conversion_metadata(bytearray(calibrated))
    model = util.populate_conversion_metadata(model, about)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def corrected(data: bytes, calibration: Array) -> bytes:
    """The calibrated file with the range that each tensor has before it is overwritten."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    graph = model.subgraphs[0]
    changed = False
    for index, (low, high) in ranges(data, results(graph), calibration).items():
        recorded = graph.tensors[index].quantization
        too_wide = max(low - recorded.min[0], recorded.max[0] - high)
        if too_wide > ROUNDING * (high - low):
            recorded.min = np.array([low], np.float32)
            recorded.max = np.array([high], np.float32)
            changed = True
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if changed else data


def results(graph: Any) -> list[int]:
    """The tensors that operators write and whose range is recorded."""
    written = [index for operator in graph.operators for index in operator.outputs]
    quantizations = {index: graph.tensors[index].quantization for index in written}
    return [index for index, own in quantizations.items() if own and own.min is not None]


def ranges(data: bytes, tensors: list[int], inputs: Array) -> dict[int, Range]:
    """The lowest and highest value of each tensor, by its number."""
    result: dict[int, Range] = {}
    for values in inner_tensors.read(data, tensors, inputs):
        for index, value in values.items():
            low, high = float(value.min()), float(value.max())
            least, most = result.get(index, (low, high))
            result[index] = min(least, low), max(most, high)
    return result
