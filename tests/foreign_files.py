"""Files as somebody else could have made them, of the network that names the nearest class mean.

Nothing is trained: it is right four times in five on MNIST.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from benchmarks.integer_c.tflite_builder import Builder
from pipeline.files.artifacts import Array


@dataclass(frozen=True)
class Linear:
    """A dense layer on images (N, H, W, C) that are scaled to (p - mean) / deviation."""

    kernel: Array  # (K, H, W, C)
    bias: Array  # (K,)

    @classmethod
    def nearest_mean(
        cls, images: Array, labels: Array, mean: Sequence[float], deviation: Sequence[float]
    ) -> Linear:
        scaled = (images.astype(np.float32) - mean) / deviation
        means = np.stack([scaled[labels == label].mean(0) for label in range(10)])
        bias = -np.square(means).reshape(10, -1).sum(1) / 2
        factor = 10 / np.abs(bias).max()
        return cls((factor * means).astype(np.float32), (factor * bias).astype(np.float32))

    def ordered(self, order: Sequence[int]) -> Linear:
        return Linear(self.kernel[list(order)], self.bias[list(order)])


def onnx_file(
    linear: Linear,
    layout: str = "NHWC",
    sizes: Sequence[int | str] | None = None,
    change: Callable[[Any], None] = lambda graph: None,
) -> bytes:
    """`sizes` are those of the input, with names for those left open; `change` edits the graph."""
    kernel = linear.kernel.transpose(0, 3, 1, 2) if layout == "NCHW" else linear.kernel
    rows = kernel.reshape(len(kernel), -1)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["pixels"], ["row"], axis=1),
            helper.make_node("Gemm", ["row", "kernel", "bias"], ["scores"], transB=1),
        ],
        "theirs",
        [
            helper.make_tensor_value_info(
                "pixels", TensorProto.FLOAT, list(sizes or ("n", *kernel.shape[1:]))
            )
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(kernel)])],
        [
            numpy_helper.from_array(np.ascontiguousarray(rows), "kernel"),
            numpy_helper.from_array(linear.bias, "bias"),
        ],
    )
    change(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def tflite_float(linear: Linear, weights: str = "float32") -> bytes:
    """A float32 file; with weights in int8 one that computes in both."""
    rows, builder = linear.kernel.reshape(len(linear.kernel), -1), Builder()
    source = builder.tensor((1, *linear.kernel.shape[1:]), "float32")
    scale = float(np.abs(rows).max()) / 127
    kernel = (
        builder.constant(rows)
        if weights == "float32"
        else builder.constant(np.rint(rows / scale).astype(np.int8), [scale])
    )
    output = builder.tensor((1, len(rows)), "float32")
    builder.operator(
        "FULLY_CONNECTED",
        [source, kernel, builder.constant(linear.bias)],
        output,
        kind="FullyConnectedOptions",
    )
    return builder.finish(source, output)


def tflite_int8(linear: Linear, levels: int = 127) -> bytes:
    """int8 in and out, for pixels from 0 to 1; with fewer levels the weights are coarser."""
    rows, builder = linear.kernel.reshape(len(linear.kernel), -1), Builder()
    source = builder.tensor((1, *linear.kernel.shape[1:]), "int8", [1 / 255], -128)
    scale = float(np.abs(rows).max()) / levels
    kernel = builder.constant(np.rint(rows / scale).astype(np.int8), [scale])
    bias = np.rint(linear.bias / (scale / 255)).astype(np.int32)
    output = builder.tensor((1, len(rows)), "int8", [0.2], 0)
    builder.operator(
        "FULLY_CONNECTED",
        [source, kernel, builder.constant(bias, [scale / 255])],
        output,
        kind="FullyConnectedOptions",
    )
    return builder.finish(source, output)


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    """A TensorFlow Lite file whose model, as objects, was edited."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model)
    packer = flatbuffers.Builder(1024)
    packer.Finish(model.Pack(packer), b"TFL3")
    return bytes(packer.Output())


def custom(model: Any) -> None:
    """Makes the first operator one of its maker's own."""
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "TheirMagic"


def outside(graph: Any) -> None:
    """Keeps the kernel in a file that the model names."""
    onnx.external_data_helper.set_external_data(graph.initializer[0], "../../secret")
    graph.initializer[0].ClearField("raw_data")
