"""Malformed, hostile and slow requests to both servers: they live, their memory stays below a bound, and every answer is a 4xx."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.record_triton import INFER, binary, json_body, length, tensor
from tests.server import FORMAT, Server

pytestmark = pytest.mark.slow

SEED = 20261121
MEGABYTES = 74  # the most that an attack may add to what the server holds


@pytest.fixture(scope="module", params=["uvloop", "plain"])
def python(request: pytest.FixtureRequest) -> Path:
    """This environment, and one of numpy and a runtime, where the standard library serves."""
    return Path(
        sys.executable
        if request.param == "uvloop"
        else f"{sys.prefix}/runtimes/onnxruntime/bin/python"
    )


@pytest.fixture(scope="module")
def server(archive: Path, python: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, python=python) as running:
        yield running
        assert running.process.poll() is None, "the server died"
        status, errors = running.stop()
        assert status == 0
        assert "Traceback" not in errors
        assert "error" not in errors


@pytest.fixture(scope="module")
def most_megabytes(server: Server) -> float:
    return server.megabytes + MEGABYTES


@pytest.fixture(autouse=True)
def good_before_and_after(server: Server, most_megabytes: float) -> Iterator[None]:
    yield
    assert server.ask("POST", INFER, json_body()).status == 200
    assert server.megabytes < most_megabytes


def http(path: str, headers: dict[str, str], body: bytes, method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def malformed(dice: random.Random) -> bytes:
    """One of all kinds of request that no server should take."""
    head, body = binary()
    rest = dice.randbytes(dice.randrange(1, 300))
    kinds: list[Any] = [
        lambda: dice.randbytes(dice.randrange(1, 2000)),
        lambda: http(INFER, {}, rest),
        lambda: http(INFER, {"Content-Encoding": dice.choice(["gzip", "deflate", "br"])}, rest),
        lambda: http(INFER, head, body[: dice.randrange(len(body))]),
        lambda: http(INFER, head, body + rest),
        lambda: http(
            INFER,
            {
                "Inference-Header-Content-Length": dice.choice(
                    ["-1", "999999", "abc", "1e3", "0x10", "", "9" * 99]
                )
            },
            body,
        ),
        lambda: http(
            INFER,
            {},
            json_body().replace(
                b"[0, ",
                dice.choice([b"[NaN, ", b"[-1, ", b"[256, ", b"[1e400, ", b"[null, ", b"[true, "]),
            ),
        ),
        lambda: http(
            INFER,
            {},
            json.dumps(
                {
                    "inputs": [
                        tensor(
                            data=[0], shape=[dice.choice([-1, 0, 2**31, 2**63, 2**99]), 28, 28, 1]
                        )
                    ]
                }
            ).encode(),
        ),
        lambda: http(
            INFER,
            {},
            json.dumps(
                {
                    "inputs": [
                        {
                            **tensor(data=[0] * 784),
                            dice.choice(["name", "shape", "datatype", "data"]): rest.hex(),
                        }
                    ]
                }
            ).encode(),
        ),
        lambda: http(INFER, {}, b'{"inputs":' + b"[" * dice.randrange(1000, 20000)),
        lambda: http(INFER, {}, b'{"a":' * dice.randrange(1000, 5000) + b"1" + b"}" * 5000),
        lambda: http(
            "/v2/models/"
            + dice.choice(
                [
                    "../../etc/passwd",
                    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                    "..",
                    "%00",
                    "a" * 5000,
                    "mnist-digits%0d%0a",
                ]
            )
            + "/infer",
            {},
            json_body(),
        ),
        lambda: http("/predict", {"Content-Type": "image/png"}, b"\x89PNG\r\n\x1a\n" + rest),
        lambda: http("/predict", {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff\xe0" + rest),
        lambda: http("/" + rest.hex(), {}, rest, dice.choice(["GET", "PUT", "DELETE", "TRACE"])),
        lambda: http(
            INFER, {"Content-Length": dice.choice(["-5", "1e9", "99999999999", "x"])}, rest
        ),
        lambda: http(
            INFER,
            {"Transfer-Encoding": "chunked"},
            dice.choice([b"-1", b"f" * 17, b"zz", b";"]) + b"\r\n" + rest,
        ),
    ]
    return dice.choice(kinds)()  # type: ignore[no-any-return]


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def test_ten_thousand_malformed_requests_are_all_answered(server: Server) -> None:
    """Four connections at a time; each answer is a 4xx with a sentence, and only to what breaks off there may be none."""
    faults: list[Any] = []

    def some(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(2500):
            sent = malformed(dice)
            answer = server.send(sent)
            found = statuses(answer)
            came_whole = (
                b"\r\n\r\n" in sent
            )  # all but random bytes, which may look like the beginning of a request
            refused = (
                found
                and all(400 <= status < 500 for status in found)
                and answer.count(b'{"error":"') == len(found)
            )
            if not refused and (came_whole or answer):
                faults.append((sent[:300], answer[:300]))

    threads = [threading.Thread(target=some, args=(SEED + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, (len(faults), faults[:3])


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: test\r\n\r\n"
GET = b"GET /v2 HTTP/1.1\r\nHost: test\r\n"
POST = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
BODY = json_body()
# Each is followed by a good request. What is refused ends the connection, as what follows may be anything.
REQUESTS = {
    "no path": (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
    "absolute form": (b"GET http://test/v2 HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    "absolute form of an address": (b"GET http://[::1]:80/v2 HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    "absolute form with a user": (
        b"GET http://me:word@test/v2 HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
    ),
    "another scheme": (b"GET ftp://test/v2 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a fragment": (b"GET /v2#part HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "two slashes": (b"GET //v2 HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    "a path beyond ASCII": (b"GET /\xe9 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "an empty line before": (b"\r\nGET /v2 HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    "lines without CR": (b"GET /v2 HTTP/1.1\nHost: test\n\n", 400),
    "a CR alone": (GET + b"X: y\rZ: z\r\n\r\n", 400),
    "a blank line": (b"   \r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no version": (b"GET /v2\r\n", 400),
    "HTTP/1.2": (b"GET /v2 HTTP/1.2\r\nHost: test\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a small method": (b"get /v2 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "an unknown method": (b"BREW /v2 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "two spaces": (b"GET  /v2 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a tunnel": (b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "no Host": (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET + b"Host: test\r\n\r\n", 400),
    "an empty Host": (b"GET /v2 HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a Host that is none": (b"GET /v2 HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400),
    "a Host of a percent sign": (b"GET /v2 HTTP/1.1\r\nHost: %\r\n\r\n", 400),
    "two Hosts in one": (b"GET /v2 HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    "an address of colons": (b"GET /v2 HTTP/1.1\r\nHost: [:::::]\r\n\r\n", 400),
    "a port above 65535": (b"GET /v2 HTTP/1.1\r\nHost: test:65536\r\n\r\n", 400),
    "a port of many digits": (b"GET /v2 HTTP/1.1\r\nHost: test:000080\r\n\r\n", 400),
    "absolute form of a port above 65535": (
        b"GET http://test:99999/v2 HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
    ),
    "an address and a port": (b"GET /v2 HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n", 200),
    "a name with a dot at its end": (b"GET /v2 HTTP/1.1\r\nHost: my_host.example.:\r\n\r\n", 200),
    "two slashes at the end": (b"GET /docs// HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    "slashes alone": (b"GET // HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    "an encoded slash at the end": (b"GET /docs%2f HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    "an encoded slash within": (b"GET /v2%2Fhealth/live HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    "an encoded letter": (b"GET /%76%32/ HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    "no colon": (GET + b"no colon\r\nX: y\r\n\r\n", 400),
    "a folded header": (GET + b"X: y\r\n folded\r\n\r\n", 400),
    "a folded first header": (b"GET /v2 HTTP/1.1\r\n Host: test\r\n\r\n", 400),
    "a NUL": (GET + b"X: y\0\r\n\r\n", 400),
    "a bell": (GET + b"X: y\x07\r\n\r\n", 400),
    "150 headers": (GET + b"X: y\r\n" * 150 + b"\r\n", 200),
    "a space before the colon": (POST + b"Content-Length : 5\r\n\r\nhello", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    "a length twice": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "a length of 0x5": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a length of nothing": (POST + b"Content-Length: \r\n\r\n", 400),
    "a length of 5000 digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
    "chunks and a length": (CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "a length and chunks": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    "gzip in chunks": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a tab of another kind": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "a chunk of -1": (CHUNKED + b"\r\n-1\r\n", 400),
    "a chunk of +5": (CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of 0x5": (CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of 2^64": (CHUNKED + b"\r\nffffffffffffffff\r\nhello", 413),
    "a chunk that is longer": (CHUNKED + b"\r\n2\r\nabcd\r\n0\r\n\r\n", 400),
    "a chunk without CR": (CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n", 400),
    "a trailer that is none": (CHUNKED + b"\r\n0\r\nno trailer\r\n\r\n", 400),
    "chunks with extras": (
        CHUNKED + b"\r\n%x;a=b\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(BODY), BODY),
        200,
    ),
    "a body that nobody asked for": (GET + b"Content-Length: 5\r\n\r\nhello", 200),
    "another expectation": (POST + b"Expect: the best\r\nContent-Length: 0\r\n\r\n", 417),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_both_servers_read_http_alike(server: Server, case: str) -> None:
    sent, expected = REQUESTS[case]
    keeps = expected in (200, 404)
    assert statuses(server.send(sent + LIVE)) == ([expected, 200] if keeps else [expected])
    assert statuses(server.send(LIVE * 3 + sent)) == [200, 200, 200, expected], (
        "what was asked before is answered"
    )


def test_a_request_of_version_1_0_is_the_last_on_its_connection(server: Server) -> None:
    old = b"GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert statuses(server.send(old + LIVE)) == [200]
    assert statuses(
        server.send(b"POST /v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    ) == [400]
    assert statuses(server.send(b"GET /v2 HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")) == [400]
    assert statuses(server.send(GET + b"Connection: close\r\n\r\n" + LIVE * 3)) == [200]


def answers(server: Server, *pieces: bytes, ends: bool = False, seconds: float = 3) -> list[int]:
    """The statuses that come for the pieces, while the client keeps its side open or ends it, until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
        return statuses(received)


GARBAGE = (
    b"garbage",
    b"GARBAGE",
    b"\x16\x03\x01\x00",
    b"\0" * 100,
    b"GET /\r\n",
    b"}{\r\n\r\n",
    b"GET \xff",
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_behind_good_requests_takes_no_answer_with_it(
    server: Server, garbage: bytes
) -> None:
    """It is refused at once, although the client has not ended what it sends."""
    assert answers(server, LIVE + garbage) == [200, 400]
    assert answers(server, LIVE * 18 + garbage) == [200] * 18 + [400]
    body = b"%sContent-Length: %d\r\n\r\n%s" % (POST, len(BODY), BODY)
    assert answers(server, body + body + garbage) == [200, 200, 400]
    assert answers(server, LIVE, garbage) == [200, 400]


@pytest.mark.parametrize("garbage", [b"zz", b"-", b"5 5", b"12345678901234567", b"5;\0"])
def test_a_chunk_that_cannot_be_one_is_refused_at_once(server: Server, garbage: bytes) -> None:
    assert answers(server, LIVE + CHUNKED + b"\r\n" + garbage) == [200, 400]


def test_what_is_cut_off_is_answered_where_a_request_had_begun(server: Server) -> None:
    for sent in (
        b"POST /pred",
        POST,
        POST + b"Content-Length: 100\r\n\r\nabc",
        CHUNKED + b"\r\nff\r\nabc",
        CHUNKED + b"\r\n",
    ):
        assert answers(server, LIVE + sent, ends=True) == [200, 400], sent
    for sent in (b"", b"\r\n\r\n"):
        assert answers(server, sent, ends=True) == []
        assert answers(server, LIVE * 2 + sent, ends=True) == [200, 200]


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for byte in CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert statuses(connection.recv(65536)) == [400]
        connection.sendall(LIVE)
        assert statuses(connection.recv(65536)) == [200]


def test_large_bodies_in_a_pipeline_are_answered_in_order(server: Server) -> None:
    large = (
        b"POST /v2/models/none/infer HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n"
        + bytes(3_000_000)
    )
    assert answers(server, (large + LIVE) * 3, ends=True, seconds=20) == [404, 200] * 3


def test_a_refusal_reaches_a_client_that_still_sends(server: Server) -> None:
    head = POST + b"Content-Length: 99999999\r\n\r\n"
    assert answers(server, LIVE + head + bytes(3_000_000)) == [200, 413]


def test_a_client_that_takes_no_answers_is_not_answered_for_ever(server: Server) -> None:
    """Its requests are read no further once its answers fill the buffers, so that it costs no memory."""
    before = server.megabytes
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(ask * 1000)
        assert server.megabytes < before + 20
        assert server.ask("POST", INFER, BODY).status == 200


def test_a_body_is_asked_for_where_the_client_waits_for_that(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(
            POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(json_body())
        )
        assert statuses(connection.recv(65536)) == [100]
        connection.sendall(json_body())
        assert statuses(connection.recv(65536)) == [200]


def test_a_request_for_no_path_is_refused(server: Server) -> None:
    (status,) = statuses(server.send(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n"))
    assert status in (400, 404)


def test_large_pictures_take_little_memory_and_give_it_back(archive: Path) -> None:
    """Two at a time of the most pixels that are allowed, with transparency; each is 64 MB when it is decoded."""
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
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) / 1000 < before + 160
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


def test_a_bomb_inside_a_bomb_is_json_of_one_encoding_only(server: Server) -> None:
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
def test_too_large_a_body_is_refused_before_it_is_sent(server: Server, length: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(POST + b"Content-Length: %s\r\n\r\n" % length)
        assert statuses(connection.recv(65536)) == [413]


def test_too_large_a_body_in_chunks_is_refused_when_it_grows_too_large(server: Server) -> None:
    chunk = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
    sent = (
        f"POST {INFER} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunk * 9
        + b"0\r\n\r\n"
    )
    assert statuses(server.send(sent)) == [413]


def test_a_body_of_very_many_chunks_is_read(server: Server) -> None:
    body = json_body()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    sent = (
        f"POST {INFER} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"0\r\n\r\n"
    )
    assert statuses(server.send(sent)) == [200]


def test_large_heads_are_refused(server: Server) -> None:
    for head in (b"X: " + b"a" * 300_000, b"X: a\r\n" * 60_000, b"X" * 300_000):
        assert statuses(server.send(b"GET /v2 HTTP/1.1\r\n" + head + b"\r\n\r\n")) == [431]
    assert statuses(server.send(b"GET /" + b"a" * 300_000)) == [431]


@pytest.mark.parametrize("count", [18, 5000])
def test_a_pipeline_is_answered_in_order(server: Server, count: int) -> None:
    paths = [f"/v2/{number}" if number % 3 else "/v2" for number in range(count)]
    sent = b"".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths)
    received = server.send(sent, seconds=20)
    assert statuses(received) == [404 if number % 3 else 200 for number in range(count)]
    assert [
        int(part.split(b"'")[0]) for part in received.split(b"there is nothing at '/v2/")[1:]
    ] == [number for number in range(count) if number % 3]


def picture(width: int, height: int) -> bytes:
    """A PNG that claims a size, all black, a few kilobytes whatever it claims."""

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
    from PIL import Image

    for kind in ("GIF", "BMP", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.new("L", (28, 28)).save(file, kind)
        assert server.ask("POST", "/predict", file.getvalue()).status == 400, kind
    assert server.ask("POST", "/predict", b"").status == 400


def test_slow_senders_are_ended_while_others_are_served(archive: Path, python: Path) -> None:
    """Half of them are slow in the head, half in the body; each has its 408, and no other waits for them."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()
    with Server(archive, "--format", FORMAT, "--timeout", "2", python=python) as running:
        slow = [
            socket.create_connection(("127.0.0.1", running.port), timeout=20) for _ in range(100)
        ]
        for number, connection in enumerate(slow):
            connection.sendall(head if number % 2 else head + b"Content-Length: 100000\r\n\r\n")
        start = time.monotonic()
        while time.monotonic() - start < 1.5:
            for connection in slow:
                connection.sendall(b"x")
            before = time.monotonic()
            assert running.ask("POST", INFER, json_body()).status == 200
            assert time.monotonic() - before < 1
            time.sleep(0.2)
        for connection in slow:
            assert statuses(connection.recv(65536)) == [408]
            assert connection.recv(65536) == b""
            connection.close()


def test_more_connections_than_allowed_are_told_to_come_back(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(256)]
    time.sleep(0.3)
    answer = server.send(http(INFER, {}, json_body()))
    assert statuses(answer) == [503]
    assert b"retry-after: 1" in answer
    for connection in silent:
        connection.close()
    time.sleep(0.3)


def test_bodies_together_have_a_bound(server: Server, most_megabytes: float) -> None:
    """A hundred clients send seven megabytes each and never end: all are held below the bound, and the last are refused."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n".encode()
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(30)]
    refused = 0
    for connection in clients:
        connection.sendall(head)
        try:
            connection.sendall(bytes(7_000_000))
            connection.settimeout(0.05)
            refused += statuses(connection.recv(65536)) == [503]
        except (TimeoutError, ConnectionError):
            continue
    assert refused > 10
    assert server.megabytes < most_megabytes + 64
    for connection in clients:
        connection.close()
    time.sleep(0.5)
