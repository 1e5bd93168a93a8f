"""ONNX models whose bytes depend on the model alone."""

from __future__ import annotations

import onnx


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with nodes and inner tensors ordered and named by the graph alone: converters do both anew in every process."""
    graph = model.graph
    nodes = walked(graph)
    del graph.node[:]
    graph.node.extend(nodes)
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


def walked(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, each after what it reads, as a walk from the outputs along the inputs meets them."""
    makers = {name: node for node in graph.node for name in node.output}
    result: list[onnx.NodeProto] = []
    met: set[str] = set()
    waiting = [(value.name, False) for value in reversed(graph.output)]
    while waiting:
        name, inputs_done = waiting.pop()
        node = makers.get(name)
        if node is None or (not inputs_done and node.output[0] in met):
            continue
        if inputs_done:
            result.append(node)
            continue
        met.add(node.output[0])
        waiting.append((name, True))
        waiting.extend((source, False) for source in reversed(node.input))
    return result
