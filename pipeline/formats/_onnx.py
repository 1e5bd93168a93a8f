"""ONNX models whose bytes depend on the model alone.

Converters order and name nodes and tensors differently in every process.
"""

from __future__ import annotations

import onnx


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with nodes and inner tensors ordered and named by the graph alone."""
    graph = model.graph
    nodes = ordered_nodes(graph)
    del graph.node[:]
    graph.node.extend(nodes)
    fixed_values = [*graph.input, *graph.output]
    _rename(graph, {value.name for value in fixed_values})
    ordered = sorted(graph.initializer, key=lambda tensor: int(tensor.name[1:]))
    del graph.initializer[:]
    graph.initializer.extend(ordered)
    del graph.value_info[:]
    for value in fixed_values:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    used = {node.domain for node in graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    graph.name, graph.doc_string, model.doc_string = "model", "", ""
    onnx.checker.check_model(model)
    return model


def _rename(graph: onnx.GraphProto, fixed: set[str]) -> None:
    """Names nodes by type and index, and tensors t1, t2, ... in the order of the nodes.

    The names in `fixed`, and empty ones (inputs left out), stay.
    """
    names: dict[str, str] = {"": ""}

    def name(old: str) -> str:
        return old if old in fixed else names.setdefault(old, f"t{len(names)}")

    for index, node in enumerate(graph.node):
        node.input[:] = [name(old) for old in node.input]
        node.output[:] = [name(old) for old in node.output]
        node.name = f"{node.op_type}_{index}"
        node.doc_string = ""
    for tensor in graph.initializer:
        tensor.name = name(tensor.name)


def ordered_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, each after its inputs: depth first from the outputs."""
    producers = {name: node for node in graph.node for name in node.output}
    result: list[onnx.NodeProto] = []
    visited: set[str] = set()
    stack = [(value.name, False) for value in reversed(graph.output)]
    while stack:
        name, inputs_done = stack.pop()
        node = producers.get(name)
        if node is None or (not inputs_done and node.output[0] in visited):
            continue
        if inputs_done:
            result.append(node)
            continue
        visited.add(node.output[0])
        stack.append((name, True))
        stack.extend((source, False) for source in reversed(node.input))
    return result
