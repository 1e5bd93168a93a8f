"""Takes out of a SavedModel of somebody else the network that answers; nothing of it runs.

A SavedModel is a program. It may read and write files, and what it calls when it is loaded is its
maker's choice. So `tf.saved_model.load` never sees it. The nodes that lead to its one output are
taken out of it, each of them must be an operator that computes tensors from tensors, and the
weights are read from the checkpoint by name. The optimizer's variables, which other readers of
such files stumble over, stay behind with everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.formats._saved_model_files import GRAPH
from pipeline.process.errors import UserError
from serving.errors import printable

SIGNATURE = "serving_default"
MOST_NODES = 100_000  # with those of a function for each of its calls
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
# Operators that compute tensors from tensors: none reads or writes a file, prints, or runs code.
COMPUTING = """
Placeholder Const VarHandleOp ReadVariableOp Identity IdentityN NoOp StopGradient
Conv2D DepthwiseConv2dNative Conv2DBackpropInput BiasAdd MatMul BatchMatMulV2 Einsum
FusedBatchNorm FusedBatchNormV3 MaxPool AvgPool Mean Max Min Sum Prod
Relu Relu6 LeakyRelu Elu Selu Sigmoid Tanh Softmax LogSoftmax Softplus Softsign
Exp Log Abs Neg Square SquaredDifference Sqrt Rsqrt Pow Erf Erfc Floor Round Maximum Minimum
Add AddV2 AddN Sub Mul RealDiv Div DivNoNan Greater GreaterEqual Less LessEqual Equal SelectV2
Cast Shape Reshape Squeeze ExpandDims Transpose Pad PadV2 MirrorPad ConcatV2 Pack Unpack
Split SplitV Slice StridedSlice GatherV2 Tile Fill BroadcastTo
SpaceToBatchND BatchToSpaceND SpaceToDepth DepthToSpace ResizeBilinear ResizeNearestNeighbor
"""
ALLOWED = CALLS | set(COMPUTING.split())


@dataclass(frozen=True)
class SavedNetwork:
    """The part of a SavedModel that answers: its graph, and the tensors in and out of it.

    `shape` is that of the input, whose first size is 1, or None for any number of images. `saved`
    describes the objects of the SavedModel, of which variables are some.
    """

    graph: Any
    input: str
    output: str
    shape: tuple[int | None, ...]
    saved: Any


def read(folder: Path) -> SavedNetwork:
    """The network in a SavedModel; nothing of it runs.

    Raises UserError if it is none, or if anything in the network may do more than compute.
    """
    meta = _meta_graph(folder)
    signature = _signature(folder, meta)
    (entry,), (end,) = signature.inputs.values(), signature.outputs.values()
    shape = _input_shape(folder, entry)
    try:
        graph = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [_node(end)])
        functions = _called(graph)
    except (AssertionError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{folder} has an output that nothing in it computes ({reason(error)}); expected the "
            "whole folder, as its maker saved it"
        ) from None
    del graph.library.function[:], graph.library.gradient[:]
    graph.library.function.extend(functions.values())
    if _node(entry) not in {node.name for node in graph.node}:
        raise UserError(
            f"{folder} has an output that does not depend on its input; expected a classifier"
        )
    _check_operators(folder, [graph.node, *(part.node_def for part in functions.values())])
    _check_calls(folder, graph, functions)
    return SavedNetwork(graph, entry.name, end.name, shape, meta.object_graph_def)


def _node(tensor: Any) -> str:
    """The name of the node that gives a tensor of the signature."""
    name: str = tensor.name.partition(":")[0]
    return name


def _meta_graph(folder: Path) -> Any:
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((folder / GRAPH).read_bytes())
    except Exception as error:  # protobuf raises an error of its own
        raise UserError(
            f"{folder / GRAPH} is damaged, or a part of it is missing ({reason(error)}); expected "
            "the whole folder, as its maker saved it"
        ) from None
    for meta in saved.meta_graphs:
        if "serve" in meta.meta_info_def.tags:
            return meta
    raise UserError(
        f"{folder / GRAPH} has no graph with the tag 'serve'; save it again with `model.export`, "
        "or `tf.saved_model.save`"
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


def _input_shape(folder: Path, entry: Any) -> tuple[int | None, ...]:
    if entry.dtype != tf.float32.as_datatype_enum:
        types = {each.as_datatype_enum: each.name for each in (tf.string, tf.uint8, tf.float16)}
        raise UserError(
            f"{folder} takes values of type {types.get(entry.dtype, entry.dtype)}; expected "
            "float32: save it again with a float32 input"
        )
    sizes = [size.size for size in entry.tensor_shape.dim]
    if len(sizes) < 2 or min(sizes[1:]) < 1 or sizes[0] not in (-1, 1):
        shape = "unknown" if entry.tensor_shape.unknown_rank else str(tuple(sizes))
        raise UserError(
            f"{folder} takes inputs whose shape is {shape}, where -1 is any size; expected one "
            "image or any number, of a fixed size: save it again with such an input"
        )
    return (None if sizes[0] < 0 else 1, *sizes[1:])


def _called(graph: Any) -> dict[str, Any]:
    """The functions that the nodes of a graph call, and those that they call, by name."""
    library = {function.signature.name: function for function in graph.library.function}
    functions: dict[str, Any] = {}
    todo = list(graph.node)
    while todo:
        for name in _names(todo.pop()):
            if name not in functions:
                functions[name] = library[name]
                todo += library[name].node_def
    return functions


def _names(node: Any) -> Iterator[str]:
    """The functions that a node names, once for each time."""
    for value in node.attr.values():
        yield from (each.name for each in [value.func, *value.list.func] if each.name)


def _check_operators(folder: Path, parts: Iterable[Iterable[Any]]) -> None:
    if refused := sorted({node.op for nodes in parts for node in nodes} - ALLOWED):
        shown = ", ".join(printable(name)[:60] for name in refused[:5])
        raise UserError(
            f"{folder} has the operator {shown}, which is not among those of networks that only "
            "compute, and could read or write files; expected a classifier of Keras layers: ask "
            "for the .keras or .tflite file"
        )


def _check_calls(folder: Path, graph: Any, functions: dict[str, Any]) -> None:
    """TensorFlow puts a function in the place of each of its calls, which must come to an end."""
    calls = {
        name: [callee for node in function.node_def for callee in _names(node)]
        for name, function in functions.items()
    }
    nodes = {name: len(function.node_def) for name, function in functions.items()}
    calls[""] = [callee for node in graph.node for callee in _names(node)]
    nodes[""] = len(graph.node)
    fault = ""
    try:
        for name in TopologicalSorter(calls).static_order():  # those called come first
            nodes[name] += sum(nodes[callee] for callee in calls[name])
            if nodes[name] > MOST_NODES:
                fault = f"has more than {MOST_NODES:,} operators, with those of functions"
                break
    except CycleError:
        fault = "has a function that calls itself"
    if fault:
        raise UserError(f"{folder} {fault}; expected a classifier of Keras layers")


def reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:150] or type(error).__name__
