"""The Open Inference Protocol V2: a model's interface, and responses as JSON or binary tensors.

The protocol: https://github.com/kserve/open-inference-protocol. Binary tensors, raw images and
classes are extensions of Triton's:
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np

from serving import gate
from serving.inputs import PIXELS, InputKind
from serving.server.json_body import dumps

if TYPE_CHECKING:
    from serving.classifier import Classifier

INPUT, OUTPUT, CLASS = "image", "probabilities", "class"
LABELS, LOW, HIGH = "labels", "low", "high"
DATATYPES = {
    OUTPUT: ("FP32", "<f4"),
    CLASS: ("INT32", "<i4"),
    LABELS: ("BOOL", "|b1"),
    LOW: ("FP32", "<f4"),
    HIGH: ("FP32", "<f4"),
}
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository"]


@dataclass(frozen=True)
class Signature:
    """A model's interface: inputs (N, ...) of a kind to probabilities (N, K) float32.

    `draft` is the card's. An input is called an image, whatever its kind. `derived` are further
    outputs, as `derive` gives them.
    """

    name: str
    version: str
    platform: str
    input_shape: Tuple[int, ...]
    class_names: List[str]
    max_images: int
    draft: str = ""
    kind: InputKind = PIXELS
    derived: Tuple[str, ...] = ()
    target: str = "classes"

    @classmethod
    def of(cls, classifier: Classifier, max_images: int) -> Signature:
        card, file = classifier.card, classifier.file
        return cls(
            name=card.name,
            version=card.version,
            platform=f"{classifier.runtime}_{file.format}",
            input_shape=card.input_shape,
            class_names=card.class_names,
            max_images=max_images,
            draft=card.draft,
            kind=card.kind,
            target=card.target,
            derived=tuple(derive(classifier, np.empty((0, len(card.class_names)), np.float32))),
        )

    @property
    def image_values(self) -> int:
        return math.prod(self.input_shape)

    @property
    def image_bytes(self) -> int:
        return self.image_values * np.dtype(self.kind.type).itemsize

    @property
    def outputs(self) -> Tuple[str, ...]:
        return (OUTPUT, *self.derived)


def derive(classifier: Classifier, outputs: Any) -> Dict[str, Any]:
    """What follows from the model's outputs (N, K), by name.

    For a model that rejects inputs, the number of the class (N,), -1 for none; for several labels,
    whether each holds, (N, K) bool; for a number, the ends of its interval, (N,) each, if it has
    one.
    """
    card, file = classifier.card, classifier.file
    if card.target == "labels":
        return {LABELS: gate.holds(outputs, card.holds_from)}
    if card.number:
        width = file.interval
        return {} if width is None else {LOW: outputs[:, 0] - width, HIGH: outputs[:, 0] + width}
    return {} if file.accept_from is None else {CLASS: file.answers(outputs)}


@dataclass(frozen=True)
class Output:
    """An output as a request asks for it: in binary, and as the likeliest `classes` if above 0."""

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True)
class Inference:
    """A valid request: images (N, ...), and the outputs that the response has."""

    images: Any
    outputs: List[Output]
    id: Optional[str] = None


def encode(
    inference: Inference,
    outputs: Dict[str, Any],
    model: Signature,
    prediction_id: Optional[str] = None,
) -> Tuple[bytes, Optional[int]]:
    """The response with these outputs, by name.

    Also gives the length of its JSON if tensors follow it, or None. The protocol's own `id` is the
    client's; the id of a logged prediction is a parameter of the response.
    """
    response: Dict[str, Any] = {} if inference.id is None else {"id": inference.id}
    response.update(model_name=model.name, model_version=model.version)
    if prediction_id is not None:
        response["parameters"] = {"prediction_id": prediction_id}
    response["outputs"], tensors = [], []
    for wanted in inference.outputs:
        output, data, tensor = _encoded(wanted, outputs[wanted.name], model.class_names)
        if wanted.binary:
            output["parameters"] = {"binary_data_size": len(tensor)}
            tensors.append(tensor)
        else:
            output["data"] = data
        response["outputs"].append(output)
    head = dumps(response)
    return b"".join([head, *tensors]), len(head) if tensors else None


def _encoded(
    wanted: Output, values: Any, class_names: List[str]
) -> Tuple[Dict[str, Any], List[Any], bytes]:
    """The description of an output, and its values for JSON and as a binary tensor."""
    datatype, dtype = DATATYPES[wanted.name]
    output = {"name": wanted.name, "datatype": datatype, "shape": list(values.shape)}
    if not wanted.classes:
        data = [] if wanted.binary else values.ravel().tolist()
        return output, data, values.astype(dtype, copy=False).tobytes()
    output.update(datatype="BYTES", shape=[len(values), wanted.classes])
    labels = likeliest(values, wanted.classes, class_names)
    encoded = map(str.encode, labels)
    return output, labels, b"".join(len(text).to_bytes(4, "little") + text for text in encoded)


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
    of_classes = [-1, len(model.class_names)]
    shapes = {OUTPUT: of_classes, LABELS: of_classes}
    return {
        "name": model.name,
        **({"parameters": {"not_proven": model.draft}} if model.draft else {}),
        "versions": [model.version],
        "platform": model.platform,
        "inputs": [
            {"name": INPUT, "datatype": model.kind.datatype, "shape": [-1, *model.input_shape]}
        ],
        "outputs": [
            {"name": name, "datatype": DATATYPES[name][0], "shape": shapes.get(name, [-1])}
            for name in model.outputs
        ],
    }
