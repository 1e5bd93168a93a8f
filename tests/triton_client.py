# /// script
# requires-python = "==3.11.*"
# dependencies = ["numpy", "tritonclient[grpc]==2.73.0"]
# ///
"""Sends images to a server with Triton's gRPC client, and prints what it answers as JSON.

Its pin of protobuf needs an environment of its own: `uv run --script` creates it from the lock file
beside this one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton


def results(address: str, model: str, images: Any) -> dict[str, Any]:
    with triton.InferenceServerClient(address) as client:
        version = client.get_model_metadata(model).versions[0]
        tensor = triton.InferInput("image", list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        return {
            "live": client.is_server_live(),
            "ready": [
                client.is_server_ready(),
                client.is_model_ready(model),
                client.is_model_ready(model, version),
                client.is_model_ready("other"),
                client.is_model_ready(model, "other"),
            ],
            "server": client.get_server_metadata(as_json=True),
            "model": client.get_model_metadata(model, version, as_json=True),
            "index": client.get_model_repository_index(as_json=True),
            "probabilities": [
                probabilities(
                    client.infer,
                    model,
                    [tensor],
                    model_version=version,
                    outputs=outputs,
                    compression_algorithm=compression,
                )
                for outputs in (None, [triton.InferRequestedOutput("probabilities")])
                for compression in (None, "gzip", "deflate")
            ],
            "likeliest": likeliest(client, model, tensor),
            "unknown": refusal(client, "other", tensor),
        }


def probabilities(infer: Any, *arguments: Any, **options: Any) -> Any:
    result = infer(*arguments, request_id="7", **options)
    assert result.get_response().id == "7"
    return result.as_numpy("probabilities").tolist()


def likeliest(client: Any, model: str, tensor: Any) -> str:
    two_classes = triton.InferRequestedOutput("probabilities", class_count=2)
    result = client.infer(model, [tensor], outputs=[two_classes])
    text: str = result.as_numpy("probabilities")[0, 0].decode()
    return text


def refusal(client: Any, model: str, tensor: Any) -> list[str]:
    try:
        client.infer(model, [tensor])
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    return []


if __name__ == "__main__":
    print(json.dumps(results(sys.argv[1], sys.argv[2], np.load(sys.argv[3]))))
