"""The model card inside a model file: ONNX `metadata_props`, a TensorFlow Lite metadata buffer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

NAME = "model_card"


def embed(data: bytes, suffix: str, card: bytes) -> bytes:
    """The file `data` with `card` added; the computation does not change."""
    return _embed_onnx(data, card) if suffix == ".onnx" else _embed_tflite(data, card)


def _embed_onnx(data: bytes, card: bytes) -> bytes:
    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, {NAME: card.decode()})
    return bytes(model.SerializeToString(deterministic=True))


def _embed_tflite(data: bytes, card: bytes) -> bytes:
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    _shorten_names(model.subgraphs[0])
    buffer, metadata = schema.BufferT(), schema.MetadataT()
    buffer.data = list(card)
    model.buffers.append(buffer)
    metadata.name, metadata.buffer = NAME, len(model.buffers) - 1
    model.metadata.append(metadata)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _shorten_names(graph: Any) -> None:
    """Keeps the first name of a tensor, if no other has it; constants need none.

    The converter joins the names of all operators that it has fused, for weights and biases too: a
    tenth of the file of a network of 6,000 weights. The runtimes find tensors by their number.
    """
    written = {index for operator in graph.operators for index in operator.outputs}
    short = {index: graph.tensors[index].name.split(b";", maxsplit=1)[0] for index in written}
    uses = Counter(short.values())
    for index, tensor in enumerate(graph.tensors):
        if index in written:
            tensor.name = short[index] if uses[short[index]] == 1 else tensor.name
        elif index not in graph.inputs:
            tensor.name = b""
