"""The bodies of inference requests of the Open Inference Protocol V2.

Every limit is checked before anything of that size is allocated.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from serving.errors import RequestError
from serving.server.json_body import (
    SPARE_VALUES,
    as_object,
    count_values,
    is_text,
    kind,
    parse,
)
from serving.server.protocol import INPUT, OUTPUT, Inference, Output, Signature


def decode(body: bytes, header_length: Optional[str], model: Signature) -> Inference:
    """An inference request. Raises RequestError.

    `header_length` is the header Inference-Header-Content-Length.
    """
    if header_length is None:
        head, tail = body, b""
    else:
        length = _header_length(header_length, len(body))
        if length == 0:
            return _raw(body, model)
        head, tail = body[:length], body[length:]
    request = as_object(_parse_limited(head, model), "the request")
    id_ = request.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise RequestError(400, f"the id is {kind(id_)}; expected a string")
    if id_ is not None and not is_text(id_):
        raise RequestError(400, "the id is not text; send no lone surrogates")
    outputs = _outputs(request, model)
    images = _input(request, tail, model, may_hold_booleans=b"true" in head or b"false" in head)
    return Inference(images, outputs, id_)


def _header_length(text: str, body_length: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= body_length):
        raise RequestError(
            400,
            f"the header Inference-Header-Content-Length is {text[:40]!r}; "
            f"expected a length from 0 to that of the body, {body_length}",
        )
    return int(text)


def _raw(body: bytes, model: Signature) -> Inference:
    """Images one after the other, without any JSON; the response is binary as well."""
    count, rest = divmod(len(body), model.image_bytes)
    if rest or not count:
        raise RequestError(
            400,
            f"the raw body has {len(body)} bytes; "
            f"expected a multiple of {model.image_bytes}, the bytes of one image",
        )
    _check_count(count, model)
    values = np.frombuffer(body, model.kind.type)
    outputs = [Output(name, binary=True) for name in model.outputs]
    return Inference(_checked(values, [count, *model.input_shape], model), outputs)


def _check_count(images: int, model: Signature) -> None:
    if not 1 <= images <= model.max_images:
        sentence = f"the request has {images} images; expected 1 to {model.max_images}"
        raise RequestError(400, sentence)


def _parse_limited(text: bytes, model: Signature) -> Any:
    if count_values(text) > 3 * model.max_images * model.image_values + SPARE_VALUES:
        raise RequestError(
            413,
            f"the JSON has more values than {model.max_images} images of {model.image_values}; "
            "send fewer at a time",
        )
    return parse(text)


def _parameters(owner: Dict[str, Any], owner_name: str) -> Dict[str, Any]:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if "shared_memory_region" in as_object(parameters, f"the parameters of {owner_name}"):
        sentence = f"{owner_name} is in shared memory, which is not supported; use the body"
        raise RequestError(400, sentence)
    return parameters  # type: ignore[no-any-return]


def _tensors(request: Dict[str, Any], field: str, expected: Tuple[str, ...]) -> List[Any]:
    """The tensors in `request[field]`, at least one, and each expected name at most once."""
    entries = request.get(field)
    if not isinstance(entries, list) or not entries:
        fault = "empty" if entries == [] else kind(entries)
        raise RequestError(400, f"the {field} are {fault}; expected an array of one")
    names = [as_object(entry, f"an entry of the {field}").get("name") for entry in entries]
    unknown = [name for name in names if name not in expected]
    if unknown or len({*names}) < len(names):
        twice = max(names, key=names.count)
        fault = f"hold {str(unknown[0])[:80]!r}" if unknown else f"hold {twice!r} twice"
        once = " and ".join(map(repr, expected))
        raise RequestError(400, f"the {field} {fault}; expected {once} once")
    return entries


def _outputs(request: Dict[str, Any], model: Signature) -> List[Output]:
    """The outputs that the request asks for; all of the model's, if it names none."""
    binary = _parameters(request, "the request").get("binary_data_output", False)
    entries: List[Any] = [{"name": name} for name in model.outputs]
    if request.get("outputs") not in (None, []):
        entries = _tensors(request, "outputs", model.outputs)
    return [_output(entry, binary, len(model.class_names)) for entry in entries]


def _output(entry: Dict[str, Any], binary: Any, most_classes: int) -> Output:
    parameters = _parameters(entry, "the output")
    binary = parameters.get("binary_data", binary)
    if not isinstance(binary, bool):
        sentence = f"the choice of binary data is {kind(binary)}; expected true or false"
        raise RequestError(400, sentence)
    classes: Any = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0:
        sentence = f"classification is {str(classes)[:40]!r}; expected a count of classes"
        raise RequestError(400, sentence)
    # The output `class` is one class already.
    return Output(entry["name"], binary, min(classes, most_classes) * (entry["name"] == OUTPUT))


def _input(request: Dict[str, Any], tail: bytes, model: Signature, may_hold_booleans: bool) -> Any:
    """The images (N, ...) of the request's one input."""
    (tensor,) = _tensors(request, "inputs", (INPUT,))
    shape = _checked_shape(tensor, model)
    parameters = _parameters(tensor, "the input")
    if "binary_data_size" in parameters:
        size = shape[0] * model.image_bytes
        _check_binary(parameters["binary_data_size"], tensor, tail, size)
        return _checked(np.frombuffer(tail, model.kind.type), shape, model)
    if tail:
        raise RequestError(
            400,
            f"{len(tail)} bytes follow the JSON, but {INPUT!r} has no binary_data_size; "
            "add it to the input's parameters",
        )
    data = _flat(tensor.get("data"), shape, model)
    values = FROM_JSON[model.kind.datatype](data, may_hold_booleans)
    return _checked(values, shape, model)


def _checked_shape(tensor: Dict[str, Any], model: Signature) -> List[int]:
    """The shape [N, ...] of the input, whose data type is checked too."""
    datatype = tensor.get("datatype")
    expected = model.kind.datatype
    if datatype != expected:
        raise RequestError(
            400,
            f"the datatype of {INPUT!r} is {str(datatype)[:40]!r}; "
            f"expected {expected!r}, raw {model.kind.noun}",
        )
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or any(type(size) is not int for size in shape)
        or tuple(shape[1:]) != model.input_shape
    ):
        raise RequestError(
            400,
            f"the shape of {INPUT!r} is {str(shape)[:80]}; "
            f"expected [N, {', '.join(map(str, model.input_shape))}]",
        )
    _check_count(shape[0], model)
    return shape


def _check_binary(claimed: Any, tensor: Dict[str, Any], tail: bytes, size: int) -> None:
    """Checks that `tail` has the `size` bytes of the shape, as the request claims too."""
    if "data" in tensor:
        sentence = f"{INPUT!r} has both data and binary_data_size; expected one of them"
        raise RequestError(400, sentence)
    if type(claimed) is not int or claimed != size:
        raise RequestError(
            400,
            f"the binary_data_size of {INPUT!r} is {str(claimed)[:40]}; "
            f"expected {size}, as its shape needs",
        )
    if len(tail) != size:
        expected = f"expected {size}, as the shape of {INPUT!r} needs"
        raise RequestError(400, f"{len(tail)} bytes follow the JSON; {expected}")


def _checked(values: Any, shape: List[int], model: Signature) -> Any:
    """The values in their shape. Raises RequestError for NaN."""
    images = values.reshape(shape)
    if fault := model.kind.fault(images):
        raise RequestError(400, f"{INPUT!r} {fault}")
    return images


def _flat(data: Any, shape: List[int], model: Signature) -> List[Any]:
    """The data, flat or nested like `shape`, as a list of N*H*W*C values."""
    if not isinstance(data, list):
        sentence = f"the data of {INPUT!r} are {kind(data)}; expected an array of {model.kind.noun}"
        raise RequestError(400, sentence)
    if data and isinstance(data[0], list):
        data = _flattened(data, shape)
    size = math.prod(shape)
    if len(data) != size:
        raise RequestError(
            400,
            f"the data of {INPUT!r} have {len(data)} values; "
            f"expected {size}, as its shape {shape} needs",
        )
    return data  # type: ignore[no-any-return]


def _pixels(data: List[Any], may_hold_booleans: bool) -> Any:
    try:
        # Accepts whole numbers from 0 to 255 and, of all other JSON values, only booleans.
        pixels = bytes(data)
    except (TypeError, ValueError, OverflowError):
        pixels = b""
    if not pixels or (may_hold_booleans and bool in map(type, data)):
        sentence = f"the data of {INPUT!r} hold something other than whole numbers from 0 to 255"
        raise RequestError(400, sentence)
    return np.frombuffer(pixels, np.uint8)


def _numbers(data: List[Any], may_hold_booleans: bool) -> Any:
    try:
        if {*map(type, data)} <= {int, float}:  # NumPy would also take booleans and strings
            with np.errstate(over="ignore"):  # too large a number becomes infinite
                return np.array(data, np.float32)
    except OverflowError:
        pass
    raise RequestError(400, f"the data of {INPUT!r} hold something other than numbers")


FROM_JSON = {"UINT8": _pixels, "FP32": _numbers}


def _flattened(data: List[Any], shape: List[int]) -> List[Any]:
    if len(data) != shape[0]:
        count = f"{len(data)} images; expected {shape[0]}, its shape's"
        raise RequestError(400, f"the data of {INPUT!r} have {count}")
    for size in shape[1:]:
        if any(type(row) is not list or len(row) != size for row in data):
            raise RequestError(400, f"the data of {INPUT!r} are not nested like its shape {shape}")
        data = list(chain.from_iterable(data))
    return data
