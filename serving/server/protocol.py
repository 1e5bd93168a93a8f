"""The Open Inference Protocol V2: a model's interface, and responses as JSON or binary tensors.

The protocol: https://github.com/kserve/open-inference-protocol. Binary tensors, raw images and
classes are extensions of Triton's:
https://github.com/triton-inference-server/server/tree/main/docs/protocol. request_bodies.py
decodes requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving.inputs import PIXELS, Kind
from serving.server.json_body import dumps

INPUT, OUTPUT = "image", "probabilities"
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository"]


@dataclass(frozen=True)
class Signature:
    """A model's interface: inputs (N, ...) of a kind to probabilities (N, K) float32.

    `draft` is the card's. An input is called an image, whatever its kind.
    """

    name: str
    version: str
    platform: str
    input_shape: Tuple[int, ...]
    class_names: List[str]
    max_images: int
    draft: str = ""
    kind: Kind = PIXELS

    @property
    def image_values(self) -> int:
        return math.prod(self.input_shape)

    @property
    def image_bytes(self) -> int:
        return self.image_values * np.dtype(self.kind.type).itemsize


@dataclass(frozen=True)
class Inference:
    """A valid request: images (N, ...), and the form of the response."""

    images: Any
    id: Optional[str] = None
    binary: bool = False
    classes: int = 0  # answer with this many likeliest classes; 0 for all probabilities


def encode(
    inference: Inference, probabilities: Any, model: Signature, prediction_id: Optional[str] = None
) -> Tuple[bytes, Optional[int]]:
    """The response with probabilities (N, K) float32.

    Also gives the length of its JSON if tensors follow it, or None. The protocol's own `id` is the
    client's; the id of a logged prediction is a parameter of the response.
    """
    output: Dict[str, Any] = {
        "name": OUTPUT,
        "datatype": "FP32",
        "shape": list(probabilities.shape),
    }
    if inference.classes:
        labels = likeliest(probabilities, inference.classes, model.class_names)
        output.update(datatype="BYTES", shape=[len(probabilities), inference.classes])
    response: Dict[str, Any] = {} if inference.id is None else {"id": inference.id}
    response.update(model_name=model.name, model_version=model.version)
    if prediction_id is not None:
        response["parameters"] = {"prediction_id": prediction_id}
    response["outputs"] = [output]
    if not inference.binary:
        output["data"] = labels if inference.classes else probabilities.ravel().tolist()
        return dumps(response), None
    if inference.classes:
        encoded = map(str.encode, labels)
        tensor = b"".join(len(label).to_bytes(4, "little") + label for label in encoded)
    else:
        tensor = np.ascontiguousarray(probabilities, "<f4").tobytes()
    output["parameters"] = {"binary_data_size": len(tensor)}
    head = dumps(response)
    return head + tensor, len(head)


def likeliest(probabilities: Any, count: int, class_names: List[str]) -> List[str]:
    """The `count` likeliest classes of each row, each as `probability:index:name`.

    The format is that of the classification extension.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        f"{row[index]:f}:{index}:{class_names[index]}"
        for row, indices in zip(probabilities, order)
        for index in indices.tolist()
    ]


def metadata(model: Signature) -> Dict[str, Any]:
    """The response to `GET /v2/models/{name}`."""
    return {
        "name": model.name,
        **({"parameters": {"not_proven": model.draft}} if model.draft else {}),
        "versions": [model.version],
        "platform": model.platform,
        "inputs": [
            {"name": INPUT, "datatype": model.kind.datatype, "shape": [-1, *model.input_shape]}
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(model.class_names)]}],
    }
