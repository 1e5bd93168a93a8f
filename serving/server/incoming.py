"""Requests as they come over a connection, by RFC 9112 and within the limits, for plain.py.

`http.server` reads without limits, and takes for whole what is cut off or malformed.
"""

from __future__ import annotations

import io
import re
import socket
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List
from urllib.parse import unquote_to_bytes

from serving.errors import RequestError
from serving.server.limits import Limits
from serving.server.service import Request

# RFC 9112, 3, 5 and 7.1; a target in absolute form names a host, which is not looked at
REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.([01])\r\n")
TARGET = re.compile(rb"(?:https?://[^/?#\[\]]+)?(/[^?#]*)(?:\?([^#]*))?(?:#.*)?")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")
UNREADABLE = "this is not an HTTP request that the server can read; see RFC 9112"
PART = 1 << 18  # the most bytes of a body that are read at a time
TimeIsUp = socket.timeout  # which is TimeoutError from Python 3.10 on


class Timed(io.RawIOBase):
    """The bytes of a connection that come before `until`, on the monotonic clock; after that, reading raises TimeIsUp."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.until = connection, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeIsUp
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


class Incoming:
    """`hold` counts bytes of bodies, of all connections together, and gives their sum."""

    def __init__(self, connection: socket.socket, limits: Limits, hold: Callable[[int], int]) -> None:
        self.connection, self.limits = connection, limits
        self._timed, self._hold = Timed(connection), hold
        self._bytes = io.BufferedReader(self._timed)
        self._held = 0  # bytes of this connection's body
        self._left = 0  # bytes that the lines of a head may still have

    def wait(self, seconds: float) -> bool:
        """Whether another request begins. Raises TimeIsUp."""
        self._timed.until = time.monotonic() + seconds
        return bool(self._bytes.peek(1))

    def read(self) -> Request:
        """The next request, whose body counts as held until `release`.

        Raises RequestError where it is malformed, cut off, too large or too slow.
        """
        self._timed.until = time.monotonic() + self.limits.seconds_to_receive
        try:
            return self._request()
        except TimeIsUp:
            raise too_slow(self.limits) from None

    def release(self) -> None:
        self._hold(-self._held)
        self._held = 0

    def discard(self, seconds: float) -> None:
        """Reads on for so long, or until the client has sent all."""
        self._timed.until = time.monotonic() + seconds
        with suppress(TimeIsUp):
            while self._bytes.read1(PART):
                pass

    def _request(self) -> Request:
        self._left = self.limits.max_head_bytes
        line = self._line()
        while line == b"\r\n":  # RFC 9112, 2.2
            line = self._line()
        found = REQUEST_LINE.fullmatch(line)
        target = found and TARGET.fullmatch(found[2])
        if not (found and target):
            raise RequestError(400, UNREADABLE)
        headers = self._headers()
        if found[3] == b"0":
            headers[b"connection"] = b"close"  # as if HTTP/1.0 had said it
        path = unquote_to_bytes(target[1]).decode(errors="replace")
        return Request(found[1].decode(), path, (target[2] or b"").decode(), headers, self._body(headers))

    def _headers(self) -> Dict[bytes, bytes]:
        headers: Dict[bytes, bytes] = {}
        while True:
            line = self._line()
            if line == b"\r\n":
                return headers
            field = FIELD.fullmatch(line)
            name = field[1].lower() if field else b""
            if not field or (name in (b"content-length", b"transfer-encoding") and name in headers):
                raise RequestError(400, UNREADABLE)
            headers[name] = field[2].strip(b" \t")

    def _line(self) -> bytes:
        line = self._bytes.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise RequestError(431, f"the request line and headers are larger than {self.limits.max_head_bytes} bytes; send fewer")
        if not line.endswith(b"\r\n"):
            raise RequestError(400, UNREADABLE)
        return line

    def _body(self, headers: Dict[bytes, bytes]) -> bytes:
        length, encoding = headers.get(b"content-length", b"0"), headers.get(b"transfer-encoding", b"")
        if b"transfer-encoding" in headers and (encoding.lower() != b"chunked" or b"content-length" in headers):
            given = encoding[:40].decode("latin-1")
            raise RequestError(400, f"the Transfer-Encoding is {given!r}; allowed is chunked, without a Content-Length")
        if not length.isdigit():
            raise RequestError(400, f"the Content-Length is {length[:40].decode('latin-1')!r}; allowed is a count of bytes")
        size = int(length.lstrip(b"0")[:12] or b"0")
        self._admit(size)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts: List[bytes] = []
        if encoding:
            self._take_chunks(parts)
        else:
            self._take(size, parts)
        return b"".join(parts)

    def _take_chunks(self, parts: List[bytes]) -> None:
        while True:
            self._left = self.limits.max_head_bytes
            found = CHUNK.fullmatch(self._line())
            if not found:
                raise RequestError(400, UNREADABLE)
            size = int(found[1], 16)
            if not size:
                break
            self._admit(self._held + size)
            self._take(size, parts)
            if self._bytes.read(2) != b"\r\n":
                raise RequestError(400, UNREADABLE)
        while self._line() != b"\r\n":
            pass  # a trailer, which nobody here asks for

    def _admit(self, size: int) -> None:
        if size > self.limits.max_body_bytes:
            raise RequestError(413, f"the body is larger than {self.limits.max_body_bytes} bytes; send fewer images at a time")

    def _take(self, size: int, parts: List[bytes]) -> None:
        """Appends the next `size` bytes of the body."""
        while size:
            part = self._bytes.read1(min(size, PART))
            if not part:
                raise RequestError(400, f"the body ended after {self._held} bytes; there were to be {size} more")
            parts.append(part)
            size -= len(part)
            self._held += len(part)
            if self._hold(len(part)) > self.limits.max_held_bytes:
                raise RequestError(503, "too many large requests are being received, so try again in a second")


def too_slow(limits: Limits) -> RequestError:
    return RequestError(408, f"the request did not come within {limits.seconds_to_receive:g} seconds; send it faster")
