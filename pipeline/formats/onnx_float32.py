"""ONNX, float32, with a dynamic batch.

As in `tflite_float32`, kernels add in different orders: on Nehalem, Haswell, Cortex-A53, A72 and
A76 a probability differs by at most 6e-7 from that on an Intel Xeon with AVX-512, and no class of
the golden vectors and 100 MNIST images changes.
"""

from __future__ import annotations

from typing import Any

import keras
import onnx
import tensorflow as tf
import tf2onnx

from pipeline.files.artifacts import Array
from pipeline.formats import _onnx

SUFFIX = ".onnx"
OPSET = 17


def convert(model: keras.Model, calibration: Array) -> bytes:
    return to_onnx(model, calibration.dtype).SerializeToString(deterministic=True)


def to_onnx(model: keras.Model, dtype: Any) -> onnx.ModelProto:
    """The ONNX graph with the input `image` of `dtype` and the output `probabilities`.

    It uses `from_function`, because tf2onnx's `from_keras` fails on Keras 3 (tensorflow-onnx
    #2448).
    """
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), dtype, name="image")]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def serve(image: Any) -> dict[str, Any]:
        return {"probabilities": model(tf.cast(image, model.inputs[0].dtype), training=False)}

    converted, _ = tf2onnx.convert.from_function(serve, input_signature=signature, opset=OPSET)
    graph = converted.graph
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["probabilities" if name == output else name for name in node.output]
        node.input[:] = ["probabilities" if name == output else name for name in node.input]
    graph.output[0].name = "probabilities"
    return _onnx.canonical(converted)
