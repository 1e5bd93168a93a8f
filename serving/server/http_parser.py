"""The requests in the bytes of one connection, by RFC 9112 and within the limits; no input or output of its own.

Strict where two readers could take the same bytes for different requests, since a proxy in front of the server may be the
other one: one Host, one length, chunks to the letter, no bare line feeds, no folded lines.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Callable, Dict, Generator, Iterator, Optional, Tuple
from urllib.parse import unquote_to_bytes

from serving.errors import RequestError
from serving.server.limits import Limits
from serving.server.service import Request

METHODS = {
    b"CONNECT",
    b"DELETE",
    b"GET",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"POST",
    b"PUT",
    b"QUERY",
    b"TRACE",
}
# RFC 9112, 3 and 5; RFC 3986, 3.2.2; a target in absolute form names the host that counts (RFC 9112, 3.2.2)
REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.([01])")
TARGET = re.compile(rb"(?:[Hh][Tt][Tt][Pp][Ss]?://([^/?#@]+))?(/[^?#]*)?(?:\?([^#]*))?")
HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|[0-9A-Za-z._~-]+)(?::([0-9]{0,5}))?")
ENCODED_SLASH = re.compile(rb"%2[Ff]")  # part of a name, and no end of it
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
# what may still become one of these lines
REQUEST_LINE_BEGUN = re.compile(rb"[!-~]*(?: [HTP/.01]*\r?)?")
CHUNK_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:[ \t]*|[ \t]*;[\t -~\x80-\xff]*)\r?)?")
ONLY_ONCE = (
    b"host",
    b"content-length",
    b"transfer-encoding",
)  # two of them are two requests, to two readers
UNREADABLE = "this is not an HTTP request that the server can read; see RFC 9112"
EARLY = 1024  # bytes of a line that are looked at before its end has come
SMALL = 1 << 18  # bytes of a request that are read however much the others hold

Reading = Generator[None, None, None]  # yields where it needs more bytes


class Incoming:
    """`hold` counts bytes that were received and not answered yet, of all connections together, and gives their sum."""

    def __init__(self, limits: Limits, hold: Callable[[int], int]) -> None:
        self.limits, self._hold = limits, hold
        self.head: Optional[Request] = None  # of the request whose body is being read
        self.ended = False  # the client has sent all it will send
        self.waits_for_continue = False  # so that the connection has to tell the client to go on
        self._bytes, self._at = bytearray(), 0  # from `_at` on they are unread
        self._in_request, self._held = False, 0
        self._requests = self._read()

    def feed(self, data: bytes) -> None:
        self._bytes += data
        self._held += len(data)
        self._hold(len(data))

    def end(self) -> None:
        self.ended = True

    def next(self) -> Optional[Request]:
        """The next request; None where more bytes are needed. Raises RequestError, and is of no use after that."""
        return next(self._requests)

    @property
    def unread(self) -> int:
        return len(self._bytes) - self._at

    @property
    def begun(self) -> bool:
        """Whether part of a request has come."""
        return self._in_request or self.unread > 0

    def release(self, everything: bool = False) -> None:
        """The requests that were read are answered, so their bytes are held no longer."""
        if everything:
            self._bytes, self._at = bytearray(), 0
        self._hold(len(self._bytes) - self._held)
        self._held = len(self._bytes)

    def _read(self) -> Iterator[Optional[Request]]:
        while True:
            for _ in self._read_head():
                yield None
            assert self.head
            body = bytearray()
            for _ in self._read_body(self.head.headers, body):
                yield None
            request = self.head._replace(body=bytes(body))
            self._drop_what_was_read()
            self.head, self._in_request = None, False
            yield request

    def _read_head(self) -> Reading:
        left, line = self.limits.max_head_bytes, b""
        while not line:  # RFC 9112, 2.2: empty lines before a request are passed over
            line = yield from self._line(left, _may_become_request_line)
            left -= len(line) + 2
        self._in_request = True
        method, host, path, query, minor = _request_line(line)
        headers: Dict[bytes, bytes] = {}
        while True:
            line = yield from self._line(left)
            left -= len(line) + 2
            if not line:
                break
            name, value = _field(line)
            if name in headers and name in ONLY_ONCE:
                raise RequestError(400, f"the request has two {name.decode()} headers; send one")
            headers[name] = headers[name] + b", " + value if name in headers else value
        _check_host(headers, minor)
        if host:
            headers[b"host"] = host
        if minor == b"0":
            if b"transfer-encoding" in headers:
                raise RequestError(
                    400, "a request of version 1.0 has a Transfer-Encoding; send a Content-Length"
                )
            headers.pop(b"expect", None)
            headers[b"connection"] = b"close"  # as if HTTP/1.0 had said it
        self.head = Request(method, path, query, headers, b"")

    def _read_body(self, headers: Dict[bytes, bytes], body: bytearray) -> Reading:
        expected = headers.get(b"expect", b"100-continue").lower()
        if expected != b"100-continue":
            raise RequestError(
                417,
                f"the server does not know the Expect {expected[:40].decode('latin-1')!r}; leave it out",
            )
        encoding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length", b"0")
        if encoding is not None:
            if encoding.lower() != b"chunked" or b"content-length" in headers:
                given = encoding[:40].decode("latin-1")
                raise RequestError(
                    400,
                    f"the Transfer-Encoding is {given!r}; expected chunked, without a Content-Length",
                )
        elif not length.isdigit():
            raise RequestError(
                400,
                f"the Content-Length is {length[:40].decode('latin-1')!r}; expected a count of bytes",
            )
        size = int(length.lstrip(b"0")[:12] or b"0")
        self._admit(size)
        self.waits_for_continue = (
            b"expect" in headers and not self.unread and (size > 0 or encoding is not None)
        )
        if encoding is None:
            yield from self._take(size, body)
        else:
            yield from self._take_chunks(body)

    def _take_chunks(self, body: bytearray) -> Reading:
        size = -1
        while size:
            line = yield from self._line(self.limits.max_head_bytes, CHUNK_BEGUN.fullmatch)
            found = CHUNK.fullmatch(line)
            if not found:
                raise RequestError(400, UNREADABLE)
            size = int(found[1], 16)
            self._admit(len(body) + size)
            if size:
                yield from self._take(size, body)
                end = bytearray()
                yield from self._take(2, end)
                if end != b"\r\n":
                    raise RequestError(400, UNREADABLE)
        left = self.limits.max_head_bytes
        while line := (yield from self._line(left)):
            left -= len(line) + 2
            _field(line)  # of a trailer, which nobody here asks for

    def _admit(self, size: int) -> None:
        if size > self.limits.max_body_bytes:
            limit = self.limits.max_body_bytes
            raise RequestError(
                413, f"the body is larger than {limit} bytes; send fewer images at a time"
            )

    def _take(self, size: int, body: bytearray) -> Reading:
        """Appends the next `size` bytes to the body."""
        while self.unread < size:
            size -= self.unread
            body += memoryview(self._bytes)[self._at :]
            self._at = len(self._bytes)
            self._drop_what_was_read()
            yield from self._more(f"the body ended after {len(body)} bytes, {size} too early")
        body += memoryview(self._bytes)[self._at : self._at + size]
        self._at += size

    def _line(
        self, allowed: int, may_become: Optional[Callable[[bytes], object]] = None
    ) -> Generator[None, None, bytes]:
        """The next line, without its end, where it has no more than `allowed` bytes. One that cannot become what it must
        be is refused before its end has come."""
        start = sought = self._at
        while (end := self._bytes.find(b"\n", sought, start + allowed)) < 0:
            sought = len(self._bytes)
            if sought - start >= allowed:
                limit = self.limits.max_head_bytes
                raise RequestError(
                    431, f"the request line and headers are larger than {limit} bytes; send fewer"
                )
            if (
                may_become
                and sought - start <= EARLY
                and not may_become(bytes(self._bytes[start:]))
            ):
                raise RequestError(400, UNREADABLE)
            yield from self._more("the request ended within a line")
        if self._bytes[end - 1 : end] != b"\r":
            raise RequestError(400, UNREADABLE)
        self._at = end + 1
        return bytes(self._bytes[start : end - 1])

    def _more(self, cut_off: str) -> Reading:
        """Waits for more bytes. Raises RequestError where none will come, or all connections together hold too many."""
        if self.ended and self.begun:
            raise RequestError(400, f"{cut_off}; send all of it")
        if self._held > SMALL and self._hold(0) > self.limits.max_held_bytes:
            raise RequestError(
                503, "too many large requests are being received, so try again in a second"
            )
        yield

    def _drop_what_was_read(self) -> None:
        del self._bytes[: self._at]
        self._at = 0


def _request_line(line: bytes) -> Tuple[str, bytes, str, str, bytes]:
    """Method, host (empty but in absolute form), decoded path, query, and the version's last digit. Raises RequestError."""
    found = REQUEST_LINE.fullmatch(line)
    target = found and TARGET.fullmatch(found[2])
    if not (found and target and (target[1] or target[2])) or found[1] not in METHODS:
        raise RequestError(400, UNREADABLE)
    if target[1] and not _is_host(target[1]):
        raise RequestError(400, UNREADABLE)
    path = unquote_to_bytes(ENCODED_SLASH.sub(b"%252F", target[2] or b"/")).decode(errors="replace")
    return found[1].decode(), target[1] or b"", path, (target[3] or b"").decode(), found[3]


def _may_become_request_line(begun: bytes) -> bool:
    method, space, rest = begun.partition(b" ")
    if begun == b"\r":
        return True
    known = method in METHODS if space else any(each.startswith(method) for each in METHODS)
    return known and bool(REQUEST_LINE_BEGUN.fullmatch(rest))


def _field(line: bytes) -> Tuple[bytes, bytes]:
    """A header's lower-case name, and its value. Raises RequestError."""
    found = FIELD.fullmatch(line)
    if not found:
        raise RequestError(400, UNREADABLE)
    return found[1].lower(), found[2].strip(b" \t")


def _is_host(host: bytes) -> bool:
    """A name or an address, and a port."""
    found = HOST.fullmatch(host)
    if not found or int(found[2] or 0) > 65535:
        return False
    if found[1]:
        try:
            ipaddress.IPv6Address(found[1].decode())
        except ValueError:
            return False
    return True


def _check_host(headers: Dict[bytes, bytes], minor: bytes) -> None:
    """RFC 9112, 3.2. Raises RequestError."""
    host = headers.get(b"host")
    if host is None and minor == b"1":
        raise RequestError(400, "the request has no Host header; send one")
    if host is not None and not _is_host(host):
        raise RequestError(
            400,
            f"the Host is {host[:80].decode('latin-1')!r}; expected a name or an address, and a port",
        )
