"""The Open Inference Protocol V2 in JSON and in binary tensors: pure functions between bytes and arrays.

The protocol: https://github.com/kserve/open-inference-protocol. Binary tensors, raw images and classes are Triton's
extensions: https://github.com/triton-inference-server/server/tree/main/docs/protocol. Works with the standard library
alone; msgspec makes it several times faster. Every limit is checked before anything of that size is allocated.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import chain
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving import typed_json
from serving.errors import RequestError

try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]

INPUT, OUTPUT = "image", "probabilities"
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository"]
MAX_LABEL_LENGTH = 1000  # characters of an id or a class name
SPARE_VALUES = 1024  # JSON values that a request may have beside its pixels


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives: images (N, H, W, C) uint8, probabilities (N, K) float32. `draft` is the card's."""

    name: str
    version: str
    platform: str
    input_shape: Tuple[int, int, int]
    class_names: List[str]
    max_images: int
    draft: str = ""

    @property
    def image_bytes(self) -> int:
        return math.prod(self.input_shape)


@dataclass(frozen=True)
class Inference:
    """A request that was found good: images (N, H, W, C) uint8, and how its answer is wanted."""

    images: Any
    id: Optional[str] = None
    binary: bool = False
    classes: int = (
        0  # so many of the likeliest classes instead of the probabilities; 0 for the probabilities
    )


def decode(body: bytes, header_length: Optional[str], model: Signature) -> Inference:
    """An inference request. `header_length` is the header Inference-Header-Content-Length. Raises RequestError."""
    if header_length is None:
        head, tail = body, b""
    else:
        length = _header_length(header_length, len(body))
        if length == 0:
            return _raw(body, model)
        head, tail = body[:length], body[length:]
    request = _object(_json(head, model), "the request")
    id_ = request.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise RequestError(400, f"the id is {_kind(id_)}; allowed is a string")
    if id_ is not None and not _is_text(id_):
        raise RequestError(400, "the id is not text")
    binary, classes = _output(request, model)
    images = _input(request, tail, model, booleans=b"true" in head or b"false" in head)
    return Inference(images, id_, binary, classes)


def encode(
    inference: Inference, probabilities: Any, model: Signature, prediction_id: Optional[str] = None
) -> Tuple[bytes, Optional[int]]:
    """The answer to `inference` with probabilities (N, K) float32, and the length of its JSON where tensors follow it.

    The protocol's own `id` is the client's; the one by which a logged prediction is found again is a parameter of the answer.
    """
    output: Dict[str, Any] = {
        "name": OUTPUT,
        "datatype": "FP32",
        "shape": list(probabilities.shape),
    }
    if inference.classes:
        labels = likeliest(probabilities, inference.classes, model.class_names)
        output.update(datatype="BYTES", shape=[len(probabilities), inference.classes])
    answer: Dict[str, Any] = {} if inference.id is None else {"id": inference.id}
    answer.update(model_name=model.name, model_version=model.version)
    if prediction_id is not None:
        answer["parameters"] = {"prediction_id": prediction_id}
    answer["outputs"] = [output]
    if not inference.binary:
        output["data"] = labels if inference.classes else probabilities.ravel().tolist()
        return dumps(answer), None
    if inference.classes:
        tensor = b"".join(
            len(label).to_bytes(4, "little") + label for label in map(str.encode, labels)
        )
    else:
        tensor = np.ascontiguousarray(probabilities, "<f4").tobytes()
    output["parameters"] = {"binary_data_size": len(tensor)}
    head = dumps(answer)
    return head + tensor, len(head)


def decode_labels(body: bytes, limit: int) -> Dict[str, str]:
    """True classes by id, of {"id": ..., "label": ...} or an array of such. Raises RequestError."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > 4 * limit + SPARE_VALUES:
        raise RequestError(
            413, f"the JSON has more values than {limit} labels; send fewer at a time"
        )
    value = parse_strictly(body)
    entries = value if isinstance(value, list) else [value]
    if not 1 <= len(entries) <= limit:
        raise RequestError(400, f"the request has {len(entries)} labels; expected 1 to {limit}")
    labels: Dict[str, str] = {}
    for entry in entries:
        id_, label = _label(entry)
        if labels.setdefault(id_, label) != label:
            raise RequestError(400, f"the prediction {id_[:80]!r} has two labels; send one")
    return labels


def _label(entry: Any) -> Tuple[str, str]:
    """The id and the label of {"id": ..., "label": ...}."""
    fields = _object(entry, "an entry of the labels")
    for name in ("id", "label"):
        if name not in fields:
            raise RequestError(
                400, f'the {name} is missing; expected {{"id": "...", "label": "..."}}'
            )
        if not isinstance(fields[name], str):
            raise RequestError(400, f"the {name} is {_kind(fields[name])}; expected a string")
        if len(fields[name]) > MAX_LABEL_LENGTH or not _is_text(fields[name]):
            raise RequestError(
                400, f"the {name} is not text of at most {MAX_LABEL_LENGTH} characters"
            )
    unknown = sorted(set(fields) - {"id", "label"})
    if unknown:
        raise RequestError(
            400, f"a label has the field {unknown[0][:80]!r}; expected id and label alone"
        )
    return fields["id"], fields["label"]


def _is_text(value: str) -> bool:
    """Python's own parser of JSON takes halves of surrogate pairs, which are not text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def likeliest(probabilities: Any, count: int, class_names: List[str]) -> List[str]:
    """For each row the `count` likeliest classes as `probability:index:name`, in the words of the classification extension."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        f"{row[index]:f}:{index}:{class_names[index]}"
        for row, indices in zip(probabilities, order)
        for index in indices.tolist()
    ]


def metadata(model: Signature) -> Dict[str, Any]:
    """The answer to `GET /v2/models/{name}`."""
    return {
        "name": model.name,
        **({"parameters": {"not_proven": model.draft}} if model.draft else {}),
        "versions": [model.version],
        "platform": model.platform,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *model.input_shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(model.class_names)]}],
    }


def _header_length(text: str, body_length: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= body_length):
        allowed = f"a length from 0 to that of the body, {body_length}"
        raise RequestError(
            400,
            f"the header Inference-Header-Content-Length is {text[:40]!r}; allowed is {allowed}",
        )
    return int(text)


def _raw(body: bytes, model: Signature) -> Inference:
    """Images without any JSON, one after the other; the answer is binary as well."""
    count, rest = divmod(len(body), model.image_bytes)
    if rest or not count:
        raise RequestError(
            400,
            f"the raw body has {len(body)} bytes; allowed is a multiple of {model.image_bytes}, the bytes of one image",
        )
    _count(count, model)
    return Inference(np.frombuffer(body, np.uint8).reshape(count, *model.input_shape), binary=True)


def _count(images: int, model: Signature) -> None:
    if not 1 <= images <= model.max_images:
        raise RequestError(
            400, f"the request has {images} images; allowed are 1 to {model.max_images}"
        )


def _json(text: bytes, model: Signature) -> Any:
    """The parsed text. Each JSON value stands behind a comma or an opening bracket, so that counting these bounds the memory."""
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if values > 3 * model.max_images * model.image_bytes + SPARE_VALUES:
        raise RequestError(
            413,
            f"the JSON has more values than {model.max_images} images of {model.image_bytes}; send fewer at a time",
        )
    return parse(text)


def parse(text: bytes) -> Any:
    """JSON as Python's values. Raises RequestError."""
    try:
        return (
            msgspec.json.decode(text)
            if msgspec
            else json.loads(text.decode(), parse_constant=_no_number)
        )
    except RecursionError:
        raise RequestError(400, "the JSON is nested too deep") from None
    except Exception as error:  # msgspec's errors and the standard library's share no narrower base
        raise RequestError(400, f"the body is not JSON ({str(error)[:200]})") from None


def parse_strictly(text: bytes) -> Any:
    """The same for a body that writes: no object may have a name twice. Raises RequestError."""
    try:
        return typed_json.loads(text)
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON ({str(error)[:200]})") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def dumps(value: Any) -> bytes:
    """A value as JSON."""
    return (
        msgspec.json.encode(value) if msgspec else json.dumps(value, separators=(",", ":")).encode()
    )


def _kind(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return kinds.get(type(value), "null")


def _object(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(400, f"{what} is {_kind(value)}; allowed is an object")
    return value


def _parameters(owner: Dict[str, Any], what: str) -> Dict[str, Any]:
    parameters = owner.get("parameters")
    return {} if parameters is None else _object(parameters, f"the parameters of {what}")


def _only(request: Dict[str, Any], field: str, name: str) -> Dict[str, Any]:
    """The one tensor that `request[field]` must hold."""
    entries = request.get(field)
    if not isinstance(entries, list) or not entries:
        fault = "empty" if entries == [] else _kind(entries)
        raise RequestError(400, f"the {field} are {fault}; allowed is an array of one")
    names = [_object(entry, f"an entry of the {field}").get("name") for entry in entries]
    if names != [name]:
        unknown = [other for other in names if other != name]
        fault = f"hold {str(unknown[0])[:80]!r}" if unknown else f"hold {name!r} twice"
        raise RequestError(400, f"the {field} {fault}; allowed is {name!r} once")
    return entries[0]  # type: ignore[no-any-return]


def _output(request: Dict[str, Any], model: Signature) -> Tuple[bool, int]:
    """Whether the answer is wanted in binary, and how many classes."""
    binary = _parameters(request, "the request").get("binary_data_output", False)
    classes: Any = 0
    if request.get("outputs"):
        parameters = _parameters(_only(request, "outputs", OUTPUT), "the output")
        binary = parameters.get("binary_data", binary)
        classes = parameters.get("classification", 0)
        if "shared_memory_region" in parameters:
            raise RequestError(
                400, "the output asks for shared memory, which is not supported; leave it out"
            )
    elif request.get("outputs") not in (None, []):
        raise RequestError(400, f"the outputs are {_kind(request['outputs'])}; allowed is an array")
    if not isinstance(binary, bool):
        raise RequestError(
            400, f"the wish for binary data is {_kind(binary)}; allowed is true or false"
        )
    if type(classes) is not int or classes < 0:
        raise RequestError(
            400, f"classification is {str(classes)[:40]!r}; allowed is a count of classes"
        )
    return binary, min(classes, len(model.class_names))


def _input(request: Dict[str, Any], tail: bytes, model: Signature, booleans: bool) -> Any:
    """The images (N, H, W, C) uint8 of the request's one input; `booleans` says whether any may be in the request."""
    entry = _only(request, "inputs", INPUT)
    if entry.get("datatype") != "UINT8":
        raise RequestError(
            400,
            f"the datatype of {INPUT!r} is {str(entry.get('datatype'))[:40]!r}; allowed is 'UINT8', raw pixels",
        )
    shape = entry.get("shape")
    height, width, channels = model.input_shape
    if (
        not isinstance(shape, list)
        or any(type(size) is not int for size in shape)
        or tuple(shape[1:]) != model.input_shape
    ):
        raise RequestError(
            400,
            f"the shape of {INPUT!r} is {str(shape)[:80]}; allowed is [N, {height}, {width}, {channels}]",
        )
    _count(shape[0], model)
    parameters = _parameters(entry, "the input")
    if "shared_memory_region" in parameters:
        raise RequestError(
            400, "the input lies in shared memory, which is not supported; send it in the body"
        )
    expected = shape[0] * model.image_bytes
    if "binary_data_size" in parameters:
        return _binary(parameters["binary_data_size"], entry, tail, expected).reshape(shape)
    if tail:
        raise RequestError(
            400,
            f"{len(tail)} bytes follow the JSON, but {INPUT!r} has no binary_data_size that tells of them",
        )
    return _numbers(entry.get("data"), shape, booleans).reshape(shape)


def _binary(size: Any, entry: Dict[str, Any], tail: bytes, expected: int) -> Any:
    if "data" in entry:
        raise RequestError(
            400, f"{INPUT!r} has both data and binary_data_size; allowed is one of them"
        )
    if type(size) is not int or size != expected:
        raise RequestError(
            400,
            f"the binary_data_size of {INPUT!r} is {str(size)[:40]}; its shape needs {expected}",
        )
    if len(tail) != expected:
        raise RequestError(
            400, f"{len(tail)} bytes follow the JSON; the shape of {INPUT!r} needs {expected}"
        )
    return np.frombuffer(tail, np.uint8)


def _numbers(data: Any, shape: List[int], booleans: bool) -> Any:
    """Pixels, flat or nested as `shape` says, as an array (N*H*W*C,) uint8."""
    if not isinstance(data, list):
        raise RequestError(
            400, f"the data of {INPUT!r} are {_kind(data)}; allowed is an array of pixels"
        )
    if data and isinstance(data[0], list):
        if len(data) != shape[0]:
            raise RequestError(
                400, f"the data of {INPUT!r} have {len(data)} images; its shape says {shape[0]}"
            )
        for size in shape[1:]:
            if any(type(row) is not list or len(row) != size for row in data):
                raise RequestError(
                    400, f"the data of {INPUT!r} are not nested as its shape {shape} says"
                )
            data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise RequestError(
            400,
            f"the data of {INPUT!r} have {len(data)} values; its shape {shape} needs {math.prod(shape)}",
        )
    try:
        pixels = bytes(
            data
        )  # takes whole numbers from 0 to 255, and of all other JSON values booleans alone
    except (TypeError, ValueError, OverflowError):
        pixels = b""
    if not pixels or (booleans and bool in map(type, data)):
        raise RequestError(
            400, f"the data of {INPUT!r} hold something other than whole numbers from 0 to 255"
        )
    return np.frombuffer(pixels, np.uint8)
