"""The codec of the Open Inference Protocol: it decodes valid requests and refuses all others."""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from serving.errors import RequestError
from serving.server import protocol
from serving.server.messages import compress, decompress
from serving.server.protocol import Signature, encode
from serving.server.request_bodies import decode

MODEL = Signature("shapes", "1.0.0", "test", (2, 3, 1), ["a", "b", "ü"], max_images=4)
REJECTING = dataclasses.replace(MODEL, derived=("class",))
IMAGES = some.integers(1, 4).flatmap(
    lambda count: some.binary(min_size=6 * count, max_size=6 * count)
)
JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
quick = settings(max_examples=150)


@pytest.fixture(params=["msgspec", "standard library"], autouse=True, scope="module")
def parser(request: pytest.FixtureRequest) -> Any:
    """Both JSON parsers: msgspec, and the standard library's for devices without packages."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard library":
            patch.setattr("serving.server.json_body.msgspec", None)
        yield request.param


def encoded(pixels: bytes, way: str, **fields: Any) -> tuple[bytes, str | None]:
    """A request with the images in `pixels`: its body, and the header with its JSON's length."""
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 2, 3, 1)
    tensor: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    if way == "raw":
        return pixels, "0"
    if way == "binary":
        tensor["parameters"] = {"binary_data_size": len(pixels)}
        head = json.dumps({"inputs": [tensor], **fields}).encode()
        return head + pixels, str(len(head))
    data = images.tolist() if way == "nested" else images.ravel().tolist()
    return json.dumps({"inputs": [{**tensor, "data": data}], **fields}).encode(), None


@quick
@given(
    pixels=IMAGES,
    way=some.sampled_from(["flat", "nested", "binary", "raw"]),
    identity=some.none() | some.text(max_size=9),
)
def test_images_come_back_in_every_way_of_sending_them(
    pixels: bytes, way: str, identity: str | None
) -> None:
    try:
        json.dumps(identity, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate, which is not text
        return
    fields = {} if identity is None else {"id": identity}
    inference = decode(*encoded(pixels, way, **fields), MODEL)
    assert inference.images.tobytes() == pixels
    assert inference.images.shape == (len(pixels) // 6, 2, 3, 1)
    assert inference.images.dtype == np.uint8
    assert inference.id == (None if way == "raw" else identity)
    assert [(output.name, output.binary) for output in inference.outputs] == [
        ("probabilities", way == "raw")
    ]


@quick
@given(pixels=IMAGES, binary=some.booleans(), classes=some.integers(0, 9))
def test_probabilities_come_back_in_every_way_of_asking_for_them(
    pixels: bytes, binary: bool, classes: int
) -> None:
    parameters = {"binary_data": binary, "classification": classes}
    outputs = [{"name": "probabilities", "parameters": parameters}]
    inference = decode(*encoded(pixels, "flat", outputs=outputs, id="7"), MODEL)
    dice = np.random.default_rng(len(pixels))
    probabilities = dice.dirichlet([1, 1, 1], len(pixels) // 6).astype(np.float32)
    body, length = encode(inference, {"probabilities": probabilities}, MODEL)
    assert (length is not None) == binary
    answer = json.loads(body[:length])
    (output,) = answer["outputs"]
    assert answer["id"] == "7"
    if classes:
        assert output["shape"] == [len(probabilities), min(classes, 3)]
    elif binary:
        assert output["parameters"]["binary_data_size"] == len(body) - (length or 0)
        assert body[length:] == probabilities.tobytes()
    else:
        assert np.array(output["data"], np.float32).tobytes() == probabilities.tobytes()


@quick
@given(
    requested=some.lists(
        some.tuples(some.sampled_from(["probabilities", "class"]), some.booleans()),
        unique_by=lambda output: output[0],
    ),
    binary=some.booleans(),
    answers=some.lists(some.integers(-1, 2), min_size=1, max_size=4),
)
def test_a_model_that_rejects_gives_its_class_or_minus_1_in_every_way_of_asking(
    requested: list[tuple[str, bool]], binary: bool, answers: list[int]
) -> None:
    outputs = [{"name": name, "parameters": {"binary_data": own}} for name, own in requested]
    fields = {"outputs": outputs, "parameters": {"binary_data_output": binary}}
    pixels = bytes(6 * len(answers))
    inference = decode(*encoded(pixels, "flat", **fields), REJECTING)
    probabilities = np.random.default_rng(0).random((len(answers), 3)).astype(np.float32)
    body, length = encode(
        inference, {"probabilities": probabilities, "class": np.array(answers)}, REJECTING
    )
    expected = requested or [("probabilities", binary), ("class", binary)]
    tail, received = body[length:] if length is not None else b"", {}
    for output in json.loads(body[:length])["outputs"]:
        dtype = {"FP32": np.float32, "INT32": np.int32}[output["datatype"]]
        values = np.array(output.get("data", []), dtype)
        if "data" not in output:
            size = output["parameters"]["binary_data_size"]
            values, tail = np.frombuffer(tail[:size], dtype), tail[size:]
        received[output["name"], "data" not in output] = values.reshape(output["shape"])
    assert list(received) == expected
    assert not tail
    for (name, _), values in received.items():
        np.testing.assert_array_equal(values, answers if name == "class" else probabilities)


def test_only_a_model_that_rejects_has_the_output_class() -> None:
    outputs = protocol.metadata(REJECTING)["outputs"]
    assert outputs[1] == {"name": "class", "datatype": "INT32", "shape": [-1]}
    assert protocol.metadata(MODEL)["outputs"] == outputs[:1]
    for names in (["class"], ["probabilities", "probabilities"]):
        body, _ = encoded(bytes(6), "flat", outputs=[{"name": name} for name in names])
        with pytest.raises(RequestError, match=r"the outputs hold .*; expected .probabilities. on"):
            decode(body, None, MODEL)


def test_the_likeliest_classes_are_named() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3]], np.float32)
    labels = protocol.likeliest(probabilities, 2, MODEL.class_names)
    assert labels == ["0.500000:1:b", "0.300000:2:ü"]


@quick
@given(
    body=some.binary(max_size=300),
    length=some.none() | some.text(max_size=5) | some.integers(-2, 400).map(str),
)
def test_random_bytes_are_refused_with_a_sentence_or_are_images(
    body: bytes, length: str | None
) -> None:
    try:
        assert decode(body, length, MODEL).images.dtype == np.uint8
    except RequestError as error:
        assert error.status in (400, 413)
        assert "\n" not in str(error)


@quick
@given(
    body=JSON,
    at=some.sampled_from(
        ["", "inputs", "entry", "name", "shape", "datatype", "data", "parameters", "outputs", "id"]
    ),
)
def test_random_json_in_any_place_is_refused_with_a_sentence_or_fits(body: Any, at: str) -> None:
    entry: dict[str, Any] = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [1, 2, 3, 1],
        "data": [1, 2, 3, 4, 5, 6],
    }
    if at in (*entry, "parameters"):
        entry = {**entry, at: body}
    request: Any = {"inputs": [body if at == "entry" else entry]}
    if at in ("inputs", "outputs", "id", "parameters"):
        request[at] = body
    if not at:
        request = body
    try:
        inference = decode(json.dumps(request).encode(), None, MODEL)
    except RequestError as error:
        assert error.status == 400
        assert "\n" not in str(error)
    else:
        assert inference.images.shape == (1, 2, 3, 1)


@pytest.mark.parametrize("value", [True, 1.0, 256, -1, 2**70, "1", None, [1], {}])
def test_a_value_that_is_not_a_pixel_is_refused(value: Any) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3, 1]}
    body = json.dumps({"inputs": [{**tensor, "data": [0, 0, value, 0, 0, 0]}]}).encode()
    with pytest.raises(RequestError, match="something other than whole numbers from 0 to 255"):
        decode(body, None, MODEL)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"inputs":['])
def test_json_that_is_nested_too_deep_is_refused(opening: bytes) -> None:
    room = Signature("room", "1.0.0", "test", (512, 512, 1), ["a", "b"], max_images=4)
    with pytest.raises(RequestError, match="nested too deep"):
        decode(opening * 100_000, None, room)


def test_more_values_than_the_largest_request_are_refused_unparsed() -> None:
    for text in (b"[],", b"0,", b"{},"):
        with pytest.raises(RequestError, match="more values") as refusal:
            decode(b"[" + text * 2000 + b"0]", None, MODEL)
        assert refusal.value.status == 413


@quick
@given(body=some.binary(max_size=3000), encoding=some.sampled_from(["gzip", "deflate"]))
def test_a_compressed_body_comes_back(body: bytes, encoding: str) -> None:
    packed, name = compress(body, encoding)
    assert name == (encoding if len(body) >= 1024 else None)
    assert decompress(packed, name or "", 3000) == body


@quick
@given(body=some.binary(max_size=100), encoding=some.sampled_from(["gzip", "deflate"]))
def test_random_bytes_are_not_a_compressed_body(body: bytes, encoding: str) -> None:
    with pytest.raises(RequestError):
        decompress(body, encoding, 1000)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_body_beyond_the_limit_is_not_decompressed(encoding: str, pack: Any) -> None:
    assert len(decompress(pack(bytes(1000)), encoding, 1000)) == 1000
    with pytest.raises(RequestError) as refusal:
        decompress(pack(bytes(1001)), encoding, 1000)
    assert refusal.value.status == 413
    for damaged in (pack(bytes(1000))[:-3], pack(bytes(1000)) + b"more"):
        with pytest.raises(RequestError):
            decompress(damaged, encoding, 1000)
