"""ONNX models whose bytes depend on the model alone."""

from __future__ import annotations

import onnx


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with nodes and inner tensors named by their place in the graph: converters name them anew in every process."""
    graph = model.graph
    fixed_values = [*graph.input, *graph.output]
    fixed = {value.name for value in fixed_values}
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
