"""What the operators of a TensorFlow Lite file write, read while LiteRT runs it."""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pipeline.files.artifacts import Array


def read(data: bytes, tensors: list[int], inputs: Array) -> Iterator[dict[int, Array]]:
    """For each raw input (N, ...), the tensors (1, ...) of the file, by their number."""
    interpreter = Interpreter(
        model_content=data,
        # Each tensor has memory of its own, so no operator overwrites it.
        experimental_preserve_all_tensors=True,
        # XNNPACK keeps its tensors for itself.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    for row in inputs:
        interpreter.set_tensor(entry["index"], row[None].astype(entry["dtype"]))
        interpreter.invoke()
        yield {index: interpreter.get_tensor(index) for index in tensors}
