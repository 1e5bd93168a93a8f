# /// script
# requires-python = "==3.11.*"
# dependencies = ["kserve==0.21.0", "numpy"]
# ///
"""Sends images to a server with KServe's client, and prints the probabilities as JSON.

Each way of sending the images is combined with each form of the response, over HTTP if the address
is a URL, else over gRPC. KServe's pins need an environment of their own: `uv run --script` creates
it from the lock file beside this one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def results(address: str, model: str, images: Any) -> dict[str, Any]:
    if not address.startswith("http://"):
        async with InferenceGRPCClient(address) as client:
            return await answers(client, client.infer, model, images)
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        infer = partial(client.infer, address, model_name=model)
        return await answers(client, infer, model, images, address)


async def answers(
    client: Any, infer: Any, model: str, images: Any, *address: str
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "live": await client.is_server_live(*address),
        "ready": await client.is_server_ready(*address),
        "model ready": await client.is_model_ready(*address, model),
        "other ready": await client.is_model_ready(*address, "other"),
    }
    for binary_in in (False, True):
        for binary_out in (False, True):
            tensor = InferInput("image", list(images.shape), "UINT8")
            tensor.set_data_from_numpy(images, binary_data=binary_in)
            outputs = [RequestedOutput("probabilities", {"binary_data": binary_out})]
            response = await infer(InferRequest(model, [tensor], request_outputs=outputs))
            result[f"{binary_in} {binary_out}"] = response.outputs[0].as_numpy().tolist()
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(results(sys.argv[1], sys.argv[2], np.load(sys.argv[3])))))
