"""Calls of a server over gRPC, and their messages."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from serving.server.grpc_messages import CLASSES
from tests.server import Server
from tests.waiting import SECONDS

SERVICE = "/inference.GRPCInferenceService/"
MODEL = "mnist-digits"
RAW = "raw_input_contents"
TYPED = "contents"
BLACK = np.zeros((1, 28, 28, 1), np.uint8)


def call(address: str, method: str, body: bytes = b"", **options: Any) -> bytes:
    """The bytes of the response over a connection of its own. Raises grpc.RpcError."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        response: bytes = channel.unary_unary(SERVICE + method)(body, timeout=SECONDS, **options)
        return response


def refusal(address: str, method: str, body: bytes = b"", **options: Any) -> tuple[str, str]:
    """The name of the status and the sentence of a call that is refused."""
    with pytest.raises(grpc.RpcError) as refused:
        call(address, method, body, **options)
    return refused.value.code().name, refused.value.details()


def request(images: Any, way: str = RAW, **fields: Any) -> bytes:
    """An inference request; `values` and what is below may be replaced."""
    values = {"name": "image", "datatype": "UINT8", "shape": images.shape}
    if way == TYPED:
        values["contents"] = {"uint_contents": images.ravel().tolist()}
    else:
        fields.setdefault(RAW, [images.tobytes()])
    values.update(fields.pop("values", {}))
    message = {"model_name": MODEL, "inputs": [CLASSES["Values"](**values).SerializeToString()]}
    encoded: bytes = CLASSES["Request"](**{**message, **fields}).SerializeToString()
    return encoded


def infer(running: Server, body: bytes) -> Any:
    return CLASSES["Response"].FromString(call(running.grpc, "ModelInfer", body))


def wanted(name: str, **parameters: Any) -> bytes:
    entries = [parameter(key, value) for key, value in parameters.items()]
    encoded: bytes = CLASSES["Wanted"](name=name, parameters=entries).SerializeToString()
    return encoded


def parameter(key: str, value: int) -> bytes:
    encoded: bytes = CLASSES["Parameter"](key=key, value={"int64_param": value}).SerializeToString()
    return encoded
