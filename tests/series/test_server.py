"""Series in requests to the server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.errors import RequestError
from serving.inputs import SERIES
from serving.server import protocol
from serving.server.protocol import Signature
from serving.server.request_bodies import decode
from tests.series.conftest import request

pytestmark = pytest.mark.long
MODEL = Signature("watch", "1.0.0", "test", (3, 2), ["a", "b"], max_images=4, kind=SERIES)


def test_the_server_takes_numbers_of_32_bits_in_json_in_binary_and_raw() -> None:
    values = np.array([[1.5, -2], [3, 4], [0, 1e-30]], np.float32)
    expected = values[None].tolist()
    nested = decode(request(data=[values.tolist()]), None, MODEL)
    flat = decode(request(data=values.ravel().tolist()), None, MODEL)
    head = request(parameters={"binary_data_size": 24})
    binary = decode(head + values.tobytes(), str(len(head)), MODEL)
    raw = decode(values.tobytes(), "0", MODEL)
    for inference in (nested, flat, binary, raw):
        assert inference.images.dtype == np.float32
        assert inference.images.tolist() == expected
    assert protocol.metadata(MODEL)["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3, 2]}
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"datatype": "UINT8", "data": [0] * 6}, "expected 'FP32', raw series"),
        ({"shape": [1, 6], "data": [0] * 6}, r"expected \[N, 3, 2\]"),
        ({"data": [0] * 5}, "have 5 values; expected 6"),
        ({"data": [True] * 6}, "something other than numbers"),
        ({"data": ["1"] * 6}, "something other than numbers"),
        ({"data": [1e39] * 6}, "NaN or infinity in number 0"),
        ({"data": [10**400] * 6}, "something other than numbers|is not"),
        ({"data": "123456"}, "are a string; expected an array of series"),
    ],
)
def test_the_server_refuses_what_is_not_a_series(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        decode(request(**fields), None, MODEL)


def test_the_server_refuses_nan_in_binary_data() -> None:
    body = np.full((2, 3, 2), [[[1.0]], [[np.nan]]], np.float32).tobytes()
    with pytest.raises(RequestError, match="NaN or infinity in number 1"):
        decode(body, "0", MODEL)
