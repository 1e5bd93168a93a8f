"""Simple servers of the same ONNX file, to compare with in `make bench-serve`.

    python -m benchmarks.serving_peers bare PORT MODEL.onnx

They are what one would write in an hour: none has limits, input checks, a queue or metrics. Triton
needs the environment that tests/triton_requests.py names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Predict = Callable[[Any], Any]


def predictor(path: str) -> Predict:
    """Images (N, H, W, C) uint8 -> probabilities (N, K) on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"image": images})[0]


def outputs(probabilities: Any, **fields: Any) -> dict[str, Any]:
    """The body of a response in the Open Inference Protocol."""
    shape = list(probabilities.shape)
    return {"outputs": [{"name": "probabilities", "shape": shape, "datatype": "FP32", **fields}]}


def bare(port: int, predict: Predict) -> None:
    """An ASGI function with msgspec, on uvicorn."""
    import msgspec
    import uvicorn

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        length = int(dict(scope["headers"]).get(b"inference-header-content-length", 0))
        tensor = msgspec.json.decode(body[: length or None])["inputs"][0]
        pixels = (
            np.frombuffer(body, np.uint8, offset=length)
            if length
            else np.array(tensor["data"], np.uint8)
        )
        probabilities = predict(pixels.reshape(tensor["shape"]))
        if length:
            data = probabilities.tobytes()
            head = outputs(probabilities, parameters={"binary_data_size": len(data)})
            response = msgspec.json.encode(head) + data
        else:
            content = outputs(probabilities, data=probabilities.ravel().tolist())
            response = msgspec.json.encode(content)
        content_length = b"%d" % len(response)
        headers = [(b"content-type", b"application/json"), (b"content-length", content_length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": response})

    uvicorn.run(application, port=port, log_level="error", access_log=False, lifespan="off")


def starlette(port: int, predict: Predict) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def infer(request: Request) -> JSONResponse:
        tensor = (await request.json())["inputs"][0]
        probabilities = predict(np.array(tensor["data"], np.uint8).reshape(tensor["shape"]))
        return JSONResponse(outputs(probabilities, data=probabilities.ravel().tolist()))

    application = Starlette(routes=[Route("/v2/models/{name}/infer", infer, methods=["POST"])])
    uvicorn.run(application, port=port, log_level="error", access_log=False)


def fastapi(port: int, predict: Predict) -> None:
    import uvicorn
    from fastapi import FastAPI
    from pydantic import create_model

    tensor_type = create_model(
        "Tensor",
        name=(str, ...),
        shape=(list[int], ...),
        datatype=(str, ...),
        data=(list[int], ...),
    )
    request_type: Any = create_model("Request", inputs=(list[tensor_type], ...))  # type: ignore[valid-type]
    application = FastAPI()

    async def infer(name: str, request: Any) -> dict[str, Any]:
        tensor = request.inputs[0]
        probabilities = predict(np.array(tensor.data, np.uint8).reshape(tensor.shape))
        return outputs(probabilities, data=probabilities.ravel().tolist())

    infer.__annotations__["request"] = request_type
    application.post("/v2/models/{name}/infer")(infer)
    uvicorn.run(application, port=port, log_level="error", access_log=False)


def triton(port: int, predict: Predict) -> None:
    from pytriton.decorators import batch
    from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    @batch  # type: ignore[untyped-decorator]
    def infer(image: Any) -> Any:
        return [predict(image)]

    config = TritonConfig(
        http_port=port, http_address="127.0.0.1", allow_grpc=False, allow_metrics=False
    )
    with Triton(config=config) as server:
        server.bind(
            model_name="mnist-digits",
            infer_func=infer,
            inputs=[Tensor(name="image", dtype=np.uint8, shape=(28, 28, 1))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
            config=ModelConfig(max_batch_size=64, batcher=DynamicBatcher()),
        )
        server.serve()


def requests(images: Any) -> dict[str, tuple[dict[str, str], bytes]]:
    """The headers and body of the three kinds of request."""

    def binary(batch: Any) -> tuple[dict[str, str], bytes]:
        tensor = {
            "name": "image",
            "shape": batch.shape,
            "datatype": "UINT8",
            "parameters": {"binary_data_size": batch.size},
        }
        output = {"name": "probabilities", "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [tensor], "outputs": [output]}, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        return headers, head + batch.tobytes()

    single, batch_of_64 = images[:1], np.resize(images, (64, *images.shape[1:]))
    tensor = {
        "name": "image",
        "shape": single.shape,
        "datatype": "UINT8",
        "data": single.ravel().tolist(),
    }
    body = json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()
    return {
        "json": ({"Content-Type": "application/json"}, body),
        "binary": binary(single),
        "binary of 64": binary(batch_of_64),
    }


if __name__ == "__main__":
    servers = {"bare": bare, "starlette": starlette, "fastapi": fastapi, "triton": triton}
    name, port, path = sys.argv[1:]
    servers[name](int(port), predictor(path))
