"""Malformed, oversized and slow requests: the server survives, and its memory stays bounded."""

from __future__ import annotations

import gzip
import io
import json
import random
import select
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.record_triton import INFER, binary, json_body, length, tensor
from tests.server import FORMAT, Server, statuses
from tests.waiting import SECONDS, wait_for

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


def http(path: str, headers: dict[str, str], body: bytes, method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


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


POST = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()


BODY = json_body()


def test_a_client_that_reads_no_responses_gets_no_more_of_them(server: Server) -> None:
    """Once its responses fill the buffers, its requests are no longer read, to save memory."""
    before = server.megabytes
    request = b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(request * 1000)
        assert server.megabytes < before + 20
        assert server.ask("POST", INFER, BODY).status == 200


def test_large_pictures_take_little_memory_and_give_it_back(archive: Path) -> None:
    """Two at a time, with transparency and the most pixels allowed: 64 MB each when decoded."""
    file = io.BytesIO()
    picture = Image.new("RGBA", (4000, 4000))
    picture.paste("black", (1900, 500, 2100, 3500))
    picture.save(file, "PNG")
    with Server(archive, "--format", FORMAT) as running:
        before = running.megabytes
        threads = [
            threading.Thread(target=running.ask, args=("POST", "/predict", file.getvalue()))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert running.ask("POST", "/predict", file.getvalue()).status == 200
        assert running.peak_megabytes < before + 160
        assert running.megabytes < before + 25


@pytest.mark.parametrize("text", ["0", "-1", "999999", "abc", "", " ", "+5", "1_0", "٣"])
def test_a_wrong_length_of_the_json_is_refused(server: Server, text: str) -> None:
    head, body = length(text)
    assert statuses(server.send(http(INFER, head, body))) == [400]


def test_json_is_utf_8_and_an_id_is_text(server: Server) -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        assert server.ask("POST", INFER, BODY.decode().encode(encoding)).status == 400, encoding
    assert server.ask("POST", INFER, json_body(id="\ud800")).status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(server: Server, encoding: str) -> None:
    zeros = b"[" + b"0," * (50 << 20)
    bomb = gzip.compress(zeros, 9) if encoding == "gzip" else zlib.compress(zeros, 9)
    assert len(bomb) < 200_000
    answer = server.ask("POST", INFER, bomb, {"Content-Encoding": encoding})
    assert answer.status == 413
    assert "larger than" in answer.json["error"]


def test_a_body_that_is_compressed_twice_is_refused(server: Server) -> None:
    answer = server.ask(
        "POST", INFER, gzip.compress(gzip.compress(json_body())), {"Content-Encoding": "gzip, gzip"}
    )
    assert answer.status == 415


def test_many_values_are_refused_before_they_are_parsed(server: Server) -> None:
    for text in (b"[],", b"{},", b"0,", b'"",'):
        body = b'{"inputs":[' + text * (8_000_000 // len(text)) + b"0]}"
        answer = server.ask("POST", INFER, body)
        assert answer.status == 413, text


@pytest.mark.parametrize("length", [b"1000000000000", b"00000000000001000000000"])
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(
    server: Server, length: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
        connection.sendall(POST + b"Content-Length: %s\r\n\r\n" % length)
        assert statuses(connection.recv(65536)) == [413]


def test_a_body_in_chunks_is_refused_once_it_is_too_large(server: Server) -> None:
    chunk = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(server.send(head + chunk * 9 + b"0\r\n\r\n")) == [413]


def test_large_heads_are_refused(server: Server) -> None:
    for head in (b"X: " + b"a" * 300_000, b"X: a\r\n" * 60_000, b"X" * 300_000):
        assert statuses(server.send(b"GET /v2 HTTP/1.1\r\n" + head + b"\r\n\r\n")) == [431]
    assert statuses(server.send(b"GET /" + b"a" * 300_000)) == [431]


def picture(width: int, height: int) -> bytes:
    """A black PNG that claims this size; it has a few kilobytes whatever it claims."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(width * height, 20_000_000)), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height"), [(13000, 13000), (2**31 - 1, 1), (1, 2**31 - 1), (100_000, 100_000)]
)
def test_a_picture_of_many_pixels_is_not_decoded(server: Server, width: int, height: int) -> None:
    answer = server.ask("POST", "/predict", picture(width, height))
    assert answer.status == 400, answer.body
    assert "error" in answer.json


def test_a_picture_of_another_kind_is_refused(server: Server) -> None:
    for file_format in ("GIF", "BMP", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.new("L", (28, 28)).save(file, file_format)
        response = server.ask("POST", "/predict", file.getvalue())
        assert response.status == 400, file_format
    assert server.ask("POST", "/predict", b"").status == 400


def connections(server: Server, count: int) -> list[socket.socket]:
    return [
        socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) for _ in range(count)
    ]


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """Those to which the server has responded, or whose connection has ended."""
    return select.select(clients, [], [], 0)[0]


def is_refused(client: socket.socket) -> bool:
    try:
        return statuses(client.recv(65536, socket.MSG_PEEK)) == [503]
    except ConnectionError:
        return False


def test_slow_senders_are_cut_off_while_others_are_served(archive: Path, python: Path) -> None:
    """Half are slow in the head, half in the body; all get a 408, and no other client waits."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()
    with Server(archive, "--format", FORMAT, "--timeout", "4", python=python) as running:
        slow = connections(running, 100)
        for number, connection in enumerate(slow):
            connection.sendall(head if number % 2 else head + b"Content-Length: 100000\r\n\r\n")
        assert running.ask("POST", INFER, json_body()).status == 200
        assert not answered(slow), "the other client had to wait until the slow ones were cut off"
        left = slow
        while left:
            for connection in left:
                connection.sendall(b"x")
            assert running.ask("POST", INFER, json_body()).status == 200
            select.select(left, [], [], 0.2)
            cut_off = answered(left)
            for connection in cut_off:
                assert statuses(connection.recv(65536)) == [408]
            left = [connection for connection in left if connection not in cut_off]
        for connection in slow:
            assert connection.recv(65536) == b""
            connection.close()


def test_too_many_connections_are_refused_for_now(server: Server) -> None:
    silent = connections(server, 256)  # accepted in this order, before the next
    answer = server.send(http(INFER, {}, json_body()))
    assert statuses(answer) == [503]
    assert b"retry-after: 1" in answer
    for connection in silent:
        connection.close()
    wait_for(lambda: server.ask("POST", INFER, BODY).status == 200)


def test_all_bodies_together_have_a_limit(server: Server, most_megabytes: float) -> None:
    """Thirty clients send 7 MB each and never finish: the last are refused."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n".encode()
    clients = connections(server, 30)
    for connection in clients:
        with suppress(ConnectionError):  # refused already
            connection.sendall(head + bytes(7_000_000))
    wait_for(lambda: sum(map(is_refused, answered(clients))) > 10)
    assert server.megabytes < most_megabytes + 64
    for connection in clients:
        connection.close()
    wait_for(lambda: server.ask("POST", INFER, BODY).status == 200)
