"""The model card inside a model file: ONNX `metadata_props`, a TensorFlow Lite metadata buffer."""

from __future__ import annotations

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
    buffer, metadata = schema.BufferT(), schema.MetadataT()
    buffer.data = list(card)
    model.buffers.append(buffer)
    metadata.name, metadata.buffer = NAME, len(model.buffers) - 1
    model.metadata.append(metadata)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
