"""ONNX files whose bytes follow from the graph, however the converter happened to order and name it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.formats import _onnx


def graph(order: tuple[int, ...], prefix: str) -> onnx.ModelProto:
    """(image + 1) * (image - 1), its two branches in any order and all inner names with a prefix."""
    one = numpy_helper.from_array(np.array([1], np.float32), f"{prefix}one")
    branches = [
        helper.make_node("Add", ["image", f"{prefix}one"], [f"{prefix}more"], name=f"{prefix}add"),
        helper.make_node("Sub", ["image", f"{prefix}one"], [f"{prefix}less"], name=f"{prefix}sub"),
        helper.make_node("Relu", ["image"], [f"{prefix}unused"]),
    ]
    product = helper.make_node("Mul", [f"{prefix}more", f"{prefix}less"], ["probabilities"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("image", "probabilities")]
    nodes = [*(branches[index] for index in order), product]
    made = helper.make_graph(nodes, prefix, values[:1], values[1:], [one])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])


def test_the_same_graph_in_any_order_and_with_any_names_is_the_same_bytes() -> None:
    every = {
        _onnx.canonical(graph(order, prefix)).SerializeToString(deterministic=True)
        for prefix in ("a/", "b/")
        for order in permutations(range(3))
    }
    assert len(every) == 1
    nodes = onnx.load_from_string(every.pop()).graph.node
    assert [node.op_type for node in nodes] == ["Add", "Sub", "Mul"]
