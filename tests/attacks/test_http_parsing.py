"""Valid, ambiguous and broken HTTP: both event loops read it alike, and refuse ambiguity."""

from __future__ import annotations

import socket
import time

import pytest

from tests.server import Server, statuses
from tests.triton_requests import INFER, json_body
from tests.waiting import SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.attacks]

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: test\r\n\r\n"


GET = b"GET /v2 HTTP/1.1\r\nHost: test\r\n"


POST = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


BODY = json_body()


# Each is followed by a good request. A refusal ends the connection, since the rest of its bytes may
# be anything.
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
def test_both_event_loops_read_http_alike(server: Server, case: str) -> None:
    sent, expected = REQUESTS[case]
    stays_open = expected in (200, 404)
    assert statuses(server.send(sent + LIVE)) == ([expected, 200] if stays_open else [expected])
    # Earlier requests are answered all the same.
    assert statuses(server.send(LIVE * 3 + sent)) == [200, 200, 200, expected]


def test_a_request_of_version_1_0_is_the_last_on_its_connection(server: Server) -> None:
    old = b"GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert statuses(server.send(old + LIVE)) == [200]
    chunked = b"POST /v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert statuses(server.send(chunked)) == [400]
    assert statuses(server.send(b"GET /v2 HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")) == [400]
    assert statuses(server.send(GET + b"Connection: close\r\n\r\n" + LIVE * 3)) == [200]


def exchange(server: Server, *pieces: bytes, ends: bool = False) -> list[int]:
    """The statuses until the server closes; with `ends` the client closes its own side first."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
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
def test_garbage_after_good_requests_costs_them_no_response(server: Server, garbage: bytes) -> None:
    """It is refused at once, although the client could still send more."""
    assert exchange(server, LIVE + garbage) == [200, 400]
    assert exchange(server, LIVE * 18 + garbage) == [200] * 18 + [400]
    body = b"%sContent-Length: %d\r\n\r\n%s" % (POST, len(BODY), BODY)
    assert exchange(server, body + body + garbage) == [200, 200, 400]
    assert exchange(server, LIVE, garbage) == [200, 400]


@pytest.mark.parametrize("garbage", [b"zz", b"-", b"5 5", b"12345678901234567", b"5;\0"])
def test_an_invalid_chunk_size_is_refused_at_once(server: Server, garbage: bytes) -> None:
    assert exchange(server, LIVE + CHUNKED + b"\r\n" + garbage) == [200, 400]


def test_a_request_that_is_cut_off_is_refused(server: Server) -> None:
    for sent in (
        b"POST /pred",
        POST,
        POST + b"Content-Length: 100\r\n\r\nabc",
        CHUNKED + b"\r\nff\r\nabc",
        CHUNKED + b"\r\n",
    ):
        assert exchange(server, LIVE + sent, ends=True) == [200, 400], sent
    for sent in (b"", b"\r\n\r\n"):
        assert exchange(server, sent, ends=True) == []
        assert exchange(server, LIVE * 2 + sent, ends=True) == [200, 200]


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
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
    assert exchange(server, (large + LIVE) * 3, ends=True) == [404, 200] * 3


def test_a_refusal_reaches_a_client_that_is_still_sending(server: Server) -> None:
    head = POST + b"Content-Length: 99999999\r\n\r\n"
    assert exchange(server, LIVE + head + bytes(3_000_000)) == [200, 413]


def test_a_client_that_waits_for_100_continue_gets_it(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert statuses(connection.recv(65536)) == [100]
        connection.sendall(BODY)
        assert statuses(connection.recv(65536)) == [200]


def test_a_request_for_no_path_is_refused(server: Server) -> None:
    (status,) = statuses(server.send(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n"))
    assert status in (400, 404)


def test_a_body_of_very_many_chunks_is_read(server: Server) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
    assert statuses(server.send(CHUNKED + b"\r\n" + chunks + b"0\r\n\r\n")) == [200]


@pytest.mark.parametrize("count", [18, 5000])
def test_a_pipeline_is_answered_in_order(server: Server, count: int) -> None:
    paths = [f"/v2/{number}" if number % 3 else "/v2" for number in range(count)]
    sent = b"".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths)
    received = server.send(sent)
    assert statuses(received) == [404 if number % 3 else 200 for number in range(count)]
    refusals = received.split(b"there is nothing at '/v2/")[1:]
    numbers = [int(refusal.split(b"'")[0]) for refusal in refusals]
    assert numbers == [number for number in range(count) if number % 3]
