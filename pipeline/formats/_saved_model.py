"""Takes out of a SavedModel of somebody else the network that answers; nothing of it runs.

A SavedModel is a program. It may read and write files, and what it calls when it is loaded is its
maker's choice. So `tf.saved_model.load` never sees it. The nodes that lead to its one output are
taken out of it, each of them must be an operator that computes tensors from tensors, and the
weights are read from the checkpoint by name. The optimizer's variables, which other readers of
such files stumble over, stay behind with everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.process.errors import UserError
from serving.errors import printable

GRAPH = "saved_model.pb"
SIGNATURE = "serving_default"
MOST_BYTES = 2**31  # of a protocol buffer
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
# Operators that compute tensors from tensors: none reads or writes a file, prints, or runs code.
ALLOWED = {
    *CALLS,
    *("Placeholder", "Const", "VarHandleOp", "ReadVariableOp", "Identity", "IdentityN", "NoOp"),
    *(
        "Conv2D",
        "DepthwiseConv2dNative",
        "Conv2DBackpropInput",
        "BiasAdd",
        "MatMul",
        "BatchMatMulV2",
    ),
    *("MaxPool", "AvgPool", "FusedBatchNormV3", "FusedBatchNorm", "Mean", "Max", "Min", "Sum"),
    *(
        "Prod",
        "Relu",
        "Relu6",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Sigmoid",
        "Tanh",
        "Softmax",
        "Softplus",
    ),
    *("Softsign", "LogSoftmax", "Exp", "Log", "Abs", "Neg", "Square", "SquaredDifference", "Sqrt"),
    *("Rsqrt", "Pow", "Erf", "Add", "AddV2", "AddN", "Sub", "Mul", "RealDiv", "Div", "DivNoNan"),
    *("Maximum", "Minimum", "Floor", "Round", "Cast", "Reshape", "Squeeze", "ExpandDims", "Pad"),
    *("PadV2", "MirrorPad", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "StridedSlice"),
    *("Slice", "Transpose", "Shape", "Tile", "GatherV2", "Fill", "SpaceToBatchND"),
    *("BatchToSpaceND", "SpaceToDepth", "DepthToSpace", "ResizeBilinear"),
    *("ResizeNearestNeighbor", "StopGradient", "BroadcastTo", "Einsum", "SelectV2", "Greater"),
    *("GreaterEqual", "Less", "LessEqual", "Equal"),
}


@dataclass(frozen=True)
class Network:
    """The part of a SavedModel that answers: its graph, and the tensors in and out of it.

    `shape` is that of the input without the batch. `saved` describes the objects of the SavedModel,
    of which variables are some.
    """

    graph: Any
    input: str
    output: str
    shape: tuple[int, ...]
    saved: Any


def read(folder: Path) -> Network:
    """The network in a SavedModel; nothing of it runs.

    Raises UserError if it is none, or if anything in the network may do more than compute.
    """
    meta = _meta_graph(folder)
    signature = _signature(folder, meta)
    (entry,), (end,) = signature.inputs.values(), signature.outputs.values()
    _check_input(folder, entry)
    name = end.name.partition(":")[0]
    try:
        graph = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [name])
        functions = _called(graph)
    except (AssertionError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{folder} has an output that nothing in it computes ({reason(error)}); expected the "
            "whole folder, as its maker saved it"
        ) from None
    del graph.library.function[:], graph.library.gradient[:]
    graph.library.function.extend(functions)
    _check_operators(folder, graph)
    return Network(
        graph,
        entry.name,
        end.name,
        tuple(size.size for size in entry.tensor_shape.dim[1:]),
        meta.object_graph_def,
    )


def _meta_graph(folder: Path) -> Any:
    path = folder / GRAPH
    if not path.is_file():
        raise UserError(
            f"{folder} is a folder without {GRAPH}; expected a SavedModel, or a .keras, .h5, "
            ".tflite or .onnx file"
        )
    if path.stat().st_size >= MOST_BYTES:
        raise UserError(f"{path} has more than 2 GB; expected a smaller model")
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf raises an error of its own
        raise UserError(
            f"{path} is not a SavedModel, or a part of it is missing ({reason(error)}); expected "
            "the whole folder, as its maker saved it"
        ) from None
    for meta in saved.meta_graphs:
        if "serve" in meta.meta_info_def.tags:
            return meta
    raise UserError(
        f"{path} has no graph with the tag 'serve'; save it again with `model.export`, or "
        "`tf.saved_model.save`"
    )


def _signature(folder: Path, meta: Any) -> Any:
    if SIGNATURE not in meta.signature_def:
        raise UserError(
            f"{folder} has no signature {SIGNATURE}, so nothing says which function answers; save "
            "it again with `model.export`, or `tf.saved_model.save(model, folder, signatures=...)`"
        )
    signature = meta.signature_def[SIGNATURE]
    for noun, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        if len(tensors) != 1:
            raise UserError(
                f"{folder} has {len(tensors)} {noun}s; expected one: images in and a value for "
                "each class out"
            )
    return signature


def _check_input(folder: Path, entry: Any) -> None:
    sizes = [size.size for size in entry.tensor_shape.dim]
    if entry.dtype != tf.float32.as_datatype_enum:
        raise UserError(
            f"{folder} takes values of type {tf.dtypes.as_dtype(entry.dtype).name}; expected "
            "float32: save it again with a float32 input"
        )
    if len(sizes) < 2 or -1 in sizes[1:] or sizes[0] not in (-1, 1):
        raise UserError(
            f"{folder} takes inputs of shape {tuple(sizes)}, where -1 is any size; expected any "
            "number of images of a fixed size: save it again with one"
        )


def _called(graph: Any) -> list[Any]:
    """The functions that the nodes of a graph call, and those that they call."""
    library = {function.signature.name: function for function in graph.library.function}
    found: dict[str, Any] = {}
    todo = list(graph.node)
    while todo:
        for name in _names(todo.pop(), library):
            if name not in found:
                found[name] = library[name]
                todo += library[name].node_def
    return list(found.values())


def _names(node: Any, library: dict[str, Any]) -> Iterator[str]:
    if node.op in library:  # a call of a function as if it were an operator
        yield node.op
    for value in node.attr.values():
        yield from (each.name for each in [value.func, *value.list.func] if each.name)


def _check_operators(folder: Path, graph: Any) -> None:
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    if refused := sorted({node.op for node in nodes} - ALLOWED):
        shown = ", ".join(printable(name)[:60] for name in refused[:5])
        raise UserError(
            f"{folder} has the operator {shown}, which is not among those of networks that only "
            "compute, and could read or write files; expected a classifier of Keras layers: ask "
            "for the .keras or .tflite file"
        )


def reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:150] or type(error).__name__
