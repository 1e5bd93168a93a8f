"""Requests of the V2 protocol; run as a program, it records what a real Triton answers to them.

Triton for CPU comes with nvidia-pytriton, which needs an environment of Debian's own Python:

    /usr/bin/python3.11 -m venv triton && triton/bin/pip install nvidia-pytriton onnxruntime
    triton/bin/python tests/triton_requests.py exported/onnx_float32.onnx tests/triton_answers.json
"""

from __future__ import annotations

import gzip
import http.client
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

PORT = 9201
NAME = "mnist-digits"
INFER = f"/v2/models/{NAME}/infer"
RECORDED_HEADERS = ("content-type", "content-encoding", "inference-header-content-length")


def image(count: int) -> Any:
    """Reproducible pixels (count, 28, 28, 1) uint8."""
    rows = np.arange(count * 784, dtype=np.uint32)
    return (rows * 7919 % 251).astype(np.uint8).reshape(count, 28, 28, 1)


def tensor(count: int = 2, **fields: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [count, 28, 28, 1], "datatype": "UINT8", **fields}


def json_body(**fields: Any) -> bytes:
    return json.dumps({"inputs": [tensor(data=image(2).ravel().tolist())], **fields}).encode()


def requested_outputs(**parameters: Any) -> list[dict[str, Any]]:
    return [{"name": "probabilities", "parameters": parameters}]


def binary(
    size: int = 1568, tail: bytes | None = None, **fields: Any
) -> tuple[dict[str, str], bytes]:
    head = json.dumps(
        {"inputs": [tensor(parameters={"binary_data_size": size})], **fields}
    ).encode()
    if tail is None:
        tail = image(2).tobytes()
    return {"Inference-Header-Content-Length": str(len(head))}, head + tail


def inputs(*entries: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    return {}, json.dumps({"inputs": entries}).encode()


def length(text: str) -> tuple[dict[str, str], bytes]:
    return {"Inference-Header-Content-Length": text}, binary()[1]


def requests() -> dict[str, tuple[str, str, dict[str, str], bytes]]:
    """Method, path, headers and body, by the name of the case."""
    flat = image(2).ravel().tolist()
    cases: dict[str, tuple[str, str, dict[str, str], bytes]] = {
        "live": ("GET", "/v2/health/live", {}, b""),
        "ready": ("GET", "/v2/health/ready", {}, b""),
        "model ready": ("GET", f"/v2/models/{NAME}/ready", {}, b""),
        "server": ("GET", "/v2", {}, b""),
        "model": ("GET", f"/v2/models/{NAME}", {}, b""),
        "unknown model": ("POST", "/v2/models/other/infer", {}, json_body()),
        "unknown path": ("GET", "/v2/nothing", {}, b""),
        "infer by GET": ("GET", INFER, {}, b""),
    }
    good = {
        "json to json": ({}, json_body()),
        "json with id": ({}, json_body(id="a request")),
        "json nested": inputs(tensor(data=image(2).tolist())),
        "json to binary": ({}, json_body(outputs=requested_outputs(binary_data=True))),
        "json to binary for all": ({}, json_body(parameters={"binary_data_output": True})),
        "binary to json": binary(),
        "binary to json by name": binary(outputs=requested_outputs(binary_data=False)),
        "binary to binary": binary(outputs=requested_outputs(binary_data=True)),
        "binary to binary for all": binary(parameters={"binary_data_output": True}),
        "one output of all in json": binary(
            parameters={"binary_data_output": True}, outputs=requested_outputs(binary_data=False)
        ),
        "no outputs named": ({}, json_body(outputs=[])),
        "raw image": ({"Inference-Header-Content-Length": "0"}, image(1).tobytes()),
        "classes in json": ({}, json_body(outputs=requested_outputs(classification=3))),
        "classes in binary": (
            {},
            json_body(outputs=requested_outputs(classification=3, binary_data=True)),
        ),
        "unknown fields": ({}, json_body(more={"deep": [1, {"er": None}]})),
        "gzip": ({"Content-Encoding": "gzip"}, gzip.compress(json_body(), mtime=0)),
        "deflate": ({"Content-Encoding": "deflate"}, zlib.compress(json_body())),
        "gzip of binary": (
            {"Content-Encoding": "gzip", **binary()[0]},
            gzip.compress(binary()[1], mtime=0),
        ),
    }
    bad = {
        "empty body": ({}, b""),
        "not JSON": ({}, b"{"),
        "an array": ({}, b"[]"),
        "no inputs": ({}, b"{}"),
        "inputs are a string": ({}, b'{"inputs": "image"}'),
        "two inputs of one name": inputs(tensor(data=flat), tensor(data=flat)),
        "unknown input": inputs({**tensor(data=flat), "name": "other"}),
        "one input too many": inputs(tensor(data=flat), {**tensor(data=flat), "name": "other"}),
        "unknown output": ({}, json_body(outputs=[{"name": "other"}])),
        "two outputs of one name": ({}, json_body(outputs=requested_outputs() * 2)),
        "no shape": inputs({"name": "image", "datatype": "UINT8", "data": flat}),
        "shape of another rank": inputs({**tensor(data=flat), "shape": [2, 784]}),
        "shape of another size": inputs({**tensor(data=flat), "shape": [1, 28, 28, 1]}),
        "negative shape": inputs({**tensor(data=flat), "shape": [-2, 28, 28, 1]}),
        "huge shape": inputs({**tensor(data=flat), "shape": [2**62, 28, 28, 1]}),
        "no datatype": inputs({"name": "image", "shape": [2, 28, 28, 1], "data": flat}),
        "another datatype": inputs({**tensor(data=flat), "datatype": "FP32"}),
        "unknown datatype": inputs({**tensor(data=flat), "datatype": "UINT7"}),
        "no data": inputs(tensor()),
        "too few values": inputs(tensor(data=flat[:-1])),
        "a string among the values": inputs(tensor(data=["a", *flat[1:]])),
        "a fraction among the values": inputs(tensor(data=[1.5, *flat[1:]])),
        "NaN among the values": ({}, json_body().replace(b"[0, ", b"[NaN, ")),
        "header length -1": length("-1"),
        "header length 999999": length("999999"),
        "header length abc": length("abc"),
        "header length of 5": length("5"),
        "raw body of another size": ({"Inference-Header-Content-Length": "0"}, b"\0" * 783),
        "empty raw body": ({"Inference-Header-Content-Length": "0"}, b""),
        "binary size too large": binary(1569),
        "binary size too small": binary(1567),
        "binary size negative": binary(-1),
        "bytes missing": binary(tail=b"\0" * 1567),
        "bytes left over": binary(tail=b"\0" * 1569),
        "gzip that is none": ({"Content-Encoding": "gzip"}, json_body()),
        "gzip cut short": ({"Content-Encoding": "gzip"}, gzip.compress(json_body(), mtime=0)[:-20]),
    }
    for name, request in {**good, **bad}.items():
        cases[name] = ("POST", INFER, *request)
    return cases


def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The status, the headers that matter, and the body with one character for each byte."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        recorded = {name: response.getheader(name) for name in RECORDED_HEADERS}
        return {
            "status": response.status,
            "headers": {name: value for name, value in recorded.items() if value is not None},
            "body": response.read().decode("latin-1"),
        }
    finally:
        connection.close()


def main() -> None:
    import onnxruntime
    from pytriton.decorators import batch
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])

    @batch  # type: ignore[untyped-decorator]
    def infer(image: Any) -> Any:
        return [session.run(["probabilities"], {"image": image})[0]]

    config = TritonConfig(
        http_port=PORT, http_address="127.0.0.1", allow_grpc=False, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=NAME,
            infer_func=infer,
            inputs=[Tensor(name="image", dtype=np.uint8, shape=(28, 28, 1))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
            config=ModelConfig(max_batch_size=64),
        )
        triton.run()
        answers = {name: ask(PORT, *request) for name, request in requests().items()}
    Path(sys.argv[2]).write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
