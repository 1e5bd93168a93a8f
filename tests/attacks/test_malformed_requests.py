"""Malformed requests: each gets a 4xx with a sentence."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.attacks.conftest import http
from tests.server import Server, statuses
from tests.triton_requests import INFER, binary, json_body, length, tensor

pytestmark = [pytest.mark.slow, pytest.mark.attacks]

SEED = 20261121
# Each of these makes a request invalid.
HEADER_LENGTHS = ("-1", "999999", "abc", "1e3", "0x10", "", "9" * 99)
VALUES = (b"NaN", b"-1", b"256", b"1e400", b"null", b"true")
SIZES = (-1, 0, 2**31, 2**63, 2**99)
FIELDS = ("name", "shape", "datatype", "data")
NAMES = (
    "../../etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..",
    "%00",
    "a" * 5000,
    "mnist-digits%0d%0a",
)
CHUNKS = (b"-1", b"f" * 17, b"zz", b";")


def malformed(dice: random.Random) -> bytes:
    """A random request that no server should accept."""
    head, body = binary()
    rest = dice.randbytes(dice.randrange(1, 300))
    pick = dice.choice
    kinds: list[Callable[[], bytes]] = [
        lambda: dice.randbytes(dice.randrange(1, 2000)),
        lambda: http(INFER, {}, rest),
        lambda: http(INFER, {"Content-Encoding": pick(["gzip", "deflate", "br"])}, rest),
        lambda: http(INFER, head, body[: dice.randrange(len(body))]),
        lambda: http(INFER, head, body + rest),
        lambda: http(INFER, {"Inference-Header-Content-Length": pick(HEADER_LENGTHS)}, body),
        lambda: http(INFER, {}, json_body().replace(b"[0, ", b"[%s, " % pick(VALUES))),
        lambda: http(INFER, {}, with_tensor(data=[0], shape=[pick(SIZES), 28, 28, 1])),
        lambda: http(INFER, {}, with_tensor(**{"data": [0] * 784, pick(FIELDS): rest.hex()})),
        lambda: http(INFER, {}, b'{"inputs":' + b"[" * dice.randrange(1000, 20000)),
        lambda: http(INFER, {}, b'{"a":' * dice.randrange(1000, 5000) + b"1" + b"}" * 5000),
        lambda: http(f"/v2/models/{pick(NAMES)}/infer", {}, json_body()),
        lambda: http("/predict", {"Content-Type": "image/png"}, b"\x89PNG\r\n\x1a\n" + rest),
        lambda: http("/predict", {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff\xe0" + rest),
        lambda: http("/" + rest.hex(), {}, rest, pick(["GET", "PUT", "DELETE", "TRACE"])),
        lambda: http(INFER, {"Content-Length": pick(["-5", "1e9", "99999999999", "x"])}, rest),
        lambda: http(INFER, {"Transfer-Encoding": "chunked"}, pick(CHUNKS) + b"\r\n" + rest),
    ]
    return pick(kinds)()


def with_tensor(**fields: Any) -> bytes:
    return json.dumps({"inputs": [tensor(**fields)]}).encode()


def test_ten_thousand_malformed_requests_are_all_answered(server: Server) -> None:
    """On four connections at a time. Every response is a 4xx with a sentence.

    Only an incomplete request may get no response.
    """
    faults: list[Any] = []

    def send_malformed(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(2500):
            request = malformed(dice)
            response = server.send(request)
            # False only for random bytes, which may look like the beginning of a request.
            is_complete = b"\r\n\r\n" in request
            received = statuses(response)
            refused = bool(received) and all(400 <= status < 500 for status in received)
            explained = response.count(b'{"error":"') == len(received)
            if not (refused and explained) and (is_complete or response):
                faults.append((request[:300], response[:300]))

    threads = [
        threading.Thread(target=send_malformed, args=(SEED + number,)) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, (len(faults), faults[:3])


@pytest.mark.parametrize("text", ["0", "-1", "999999", "abc", "", " ", "+5", "1_0", "٣"])
def test_a_wrong_length_of_the_json_is_refused(server: Server, text: str) -> None:
    head, body = length(text)
    assert statuses(server.send(http(INFER, head, body))) == [400]


def test_json_is_utf_8_and_an_id_is_text(server: Server) -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        assert server.ask("POST", INFER, json_body().decode().encode(encoding)).status == 400, (
            encoding
        )
    assert server.ask("POST", INFER, json_body(id="\ud800")).status == 400
