"""Bodies, heads and pictures that are too large, compressed or not: memory stays bounded."""

from __future__ import annotations

import gzip
import io
import socket
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests import png_files
from tests.server import FORMAT, Server, statuses
from tests.triton_requests import INFER, json_body
from tests.waiting import SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.attacks]


POST = f"POST {INFER} HTTP/1.1\r\nHost: test\r\n".encode()


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
    return png_files.png((width, height), 8, 0, bytes(min(width * height, 20_000_000)))


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
