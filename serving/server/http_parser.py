"""Parses the bytes of one connection into requests, by RFC 9112 and within the limits; no I/O.

Strict wherever two readers could see different requests in the same bytes, since a proxy in front
of the server may be the other reader (request smuggling): one Host, one length, chunks to the
letter, no bare line feeds, no folded lines.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Callable, Dict, Generator, Iterator, Optional, Tuple
from urllib.parse import unquote_to_bytes

from serving.errors import RequestError
from serving.server.limits import Limits
from serving.server.messages import Request

METHODS = frozenset(b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())
# RFC 9112, 3 and 5; RFC 3986, 3.2.2. The host of a target in absolute form overrides the Host
# header (RFC 9112, 3.2.2).
REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.([01])")
TARGET = re.compile(rb"(?:[Hh][Tt][Tt][Pp][Ss]?://([^/?#@]+))?(/[^?#]*)?(?:\?([^#]*))?")
HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|[0-9A-Za-z._~-]+)(?::([0-9]{0,5}))?")
ENCODED_SLASH = re.compile(rb"%2[Ff]")  # part of a name, not a separator
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
# What may still become one of these lines.
REQUEST_LINE_BEGUN = re.compile(rb"[!-~]*(?: [HTP/.01]*\r?)?")
CHUNK_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:[ \t]*|[ \t]*;[\t -~\x80-\xff]*)\r?)?")
UNREADABLE = "this is not an HTTP request that the server can read; see RFC 9112"
# A second one of these lets two readers see two different requests.
ONLY_ONCE = (b"host", b"content-length", b"transfer-encoding")
EARLY = 1024  # bytes up to which an incomplete line is checked already
SMALL = 1 << 18  # bytes of a request that are read even if all connections hold too many

Reading = Generator[None, None, None]  # yields when it needs more bytes


class RequestParser:
    """`hold` adds to the count of bytes held by all connections together, and returns that count.

    Bytes are held from their arrival until their request is answered.
    """

    def __init__(self, limits: Limits, hold: Callable[[int], int]) -> None:
        self.limits, self._hold = limits, hold
        self.head: Optional[Request] = None  # of the request whose body is being read
        self.ended = False  # the client will send nothing more
        self.waits_for_continue = False  # the client waits for a 100 Continue
        self._bytes, self._at = bytearray(), 0  # unread from `_at` on
        self._in_request, self._held = False, 0
        self._requests = self._read()

    def feed(self, data: bytes) -> None:
        self._bytes += data
        self._held += len(data)
        self._hold(len(data))

    def next(self) -> Optional[Request]:
        """The next request, or None if more bytes are needed.

        Raises RequestError, after which the parser cannot be used.
        """
        return next(self._requests)

    @property
    def unread(self) -> int:
        return len(self._bytes) - self._at

    @property
    def begun(self) -> bool:
        """Whether part of a request has arrived."""
        return self._in_request or self.unread > 0

    def release(self, everything: bool = False) -> None:
        """No longer holds the bytes of the requests that were read: they are answered."""
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
            self._drop_read_bytes()
            self.head, self._in_request = None, False
            yield request

    def _read_head(self) -> Reading:
        left, line = self.limits.max_head_bytes, b""
        while not line:  # RFC 9112, 2.2: skip empty lines before a request
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
            name, value = _header_field(line)
            if name in headers and name in ONLY_ONCE:
                raise RequestError(400, f"the request has two {name.decode()} headers; send one")
            headers[name] = headers[name] + b", " + value if name in headers else value
        _check_host(headers, minor)
        if host:
            headers[b"host"] = host
        if minor == b"0":
            _adapt_version_1_0(headers)
        self.head = Request(method, path, query, headers, b"")

    def _read_body(self, headers: Dict[bytes, bytes], body: bytearray) -> Reading:
        expect = headers.get(b"expect", b"100-continue").lower()
        if expect != b"100-continue":
            text = expect[:40].decode("latin-1")
            raise RequestError(417, f"the server does not know the Expect {text!r}; leave it out")
        size = _body_size(headers)
        self._check_size(size or 0)
        self.waits_for_continue = b"expect" in headers and not self.unread and size != 0
        if size is None:
            yield from self._take_chunks(body)
        else:
            yield from self._take(size, body)

    def _take_chunks(self, body: bytearray) -> Reading:
        size = -1
        while size:
            line = yield from self._line(self.limits.max_head_bytes, CHUNK_BEGUN.fullmatch)
            chunk = CHUNK.fullmatch(line)
            if not chunk:
                raise RequestError(400, UNREADABLE)
            size = int(chunk[1], 16)
            self._check_size(len(body) + size)
            if size:
                yield from self._take(size, body)
                end = bytearray()
                yield from self._take(2, end)
                if end != b"\r\n":
                    raise RequestError(400, UNREADABLE)
        left = self.limits.max_head_bytes
        while line := (yield from self._line(left)):
            left -= len(line) + 2
            _header_field(line)  # of a trailer: checked and dropped

    def _check_size(self, size: int) -> None:
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
            self._drop_read_bytes()
            yield from self._more(f"the body ended after {len(body)} bytes, {size} too early")
        body += memoryview(self._bytes)[self._at : self._at + size]
        self._at += size

    def _line(
        self, max_bytes: int, may_become: Optional[Callable[[bytes], object]] = None
    ) -> Generator[None, None, bytes]:
        """The next line without its end, of at most `max_bytes`.

        With `may_become`, an incomplete line that cannot become valid is refused at once.
        """
        start = searched = self._at
        while (end := self._bytes.find(b"\n", searched, start + max_bytes)) < 0:
            searched = len(self._bytes)
            if searched - start >= max_bytes:
                limit = self.limits.max_head_bytes
                raise RequestError(
                    431, f"the request line and headers are larger than {limit} bytes; send fewer"
                )
            if (
                may_become
                and searched - start <= EARLY
                and not may_become(bytes(self._bytes[start:]))
            ):
                raise RequestError(400, UNREADABLE)
            yield from self._more("the request ended within a line")
        if self._bytes[end - 1 : end] != b"\r":
            raise RequestError(400, UNREADABLE)
        self._at = end + 1
        return bytes(self._bytes[start : end - 1])

    def _more(self, cut_off: str) -> Reading:
        """Waits for more bytes.

        Raises RequestError if none will come, or if all connections together hold too many.
        """
        if self.ended and self.begun:
            raise RequestError(400, f"{cut_off}; send all of it")
        if self._held > SMALL and self._hold(0) > self.limits.max_held_bytes:
            raise RequestError(
                503, "too many large requests are being received, so try again in a second"
            )
        yield

    def _drop_read_bytes(self) -> None:
        del self._bytes[: self._at]
        self._at = 0


def _request_line(line: bytes) -> Tuple[str, bytes, str, str, bytes]:
    """Method, host, decoded path, query, and the last digit of the version. Raises RequestError.

    The host is empty unless the target is in absolute form.
    """
    parts = REQUEST_LINE.fullmatch(line)
    target = parts and TARGET.fullmatch(parts[2])
    if not (parts and target and (target[1] or target[2])) or parts[1] not in METHODS:
        raise RequestError(400, UNREADABLE)
    if target[1] and not _is_host(target[1]):
        raise RequestError(400, UNREADABLE)
    # An encoded slash stays encoded, so that it does not separate.
    path = unquote_to_bytes(ENCODED_SLASH.sub(b"%252F", target[2] or b"/")).decode(errors="replace")
    return parts[1].decode(), target[1] or b"", path, (target[3] or b"").decode(), parts[3]


def _may_become_request_line(begun: bytes) -> bool:
    method, space, rest = begun.partition(b" ")
    if begun == b"\r":
        return True
    if not space:
        return any(known.startswith(method) for known in METHODS)
    return method in METHODS and bool(REQUEST_LINE_BEGUN.fullmatch(rest))


def _header_field(line: bytes) -> Tuple[bytes, bytes]:
    """A header's name in lower case, and its value. Raises RequestError."""
    field = FIELD.fullmatch(line)
    if not field:
        raise RequestError(400, UNREADABLE)
    return field[1].lower(), field[2].strip(b" \t")


def _adapt_version_1_0(headers: Dict[bytes, bytes]) -> None:
    """Has a request of HTTP/1.0 mean the same in HTTP/1.1. Raises RequestError."""
    if b"transfer-encoding" in headers:
        raise RequestError(
            400, "a request of version 1.0 has a Transfer-Encoding; send a Content-Length"
        )
    headers.pop(b"expect", None)
    headers[b"connection"] = b"close"


def _body_size(headers: Dict[bytes, bytes]) -> Optional[int]:
    """The Content-Length, or None for a body in chunks. Raises RequestError."""
    encoding = headers.get(b"transfer-encoding")
    if encoding is not None:
        if encoding.lower() != b"chunked" or b"content-length" in headers:
            text = encoding[:40].decode("latin-1")
            raise RequestError(
                400,
                f"the Transfer-Encoding is {text!r}; expected chunked, without a Content-Length",
            )
        return None
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        text = length[:40].decode("latin-1")
        raise RequestError(400, f"the Content-Length is {text!r}; expected a count of bytes")
    # Twelve digits are beyond every limit; more would take long to convert.
    return int(length.lstrip(b"0")[:12] or b"0")


def _is_host(host: bytes) -> bool:
    """Whether this is a name or an address, perhaps with a port."""
    parts = HOST.fullmatch(host)
    if not parts or int(parts[2] or 0) > 65535:
        return False
    if parts[1]:
        try:
            ipaddress.IPv6Address(parts[1].decode())
        except ValueError:
            return False
    return True


def _check_host(headers: Dict[bytes, bytes], minor: bytes) -> None:
    """RFC 9112, 3.2. Raises RequestError."""
    host = headers.get(b"host")
    if host is None and minor == b"1":
        raise RequestError(400, "the request has no Host header; send one")
    if host is not None and not _is_host(host):
        text = host[:80].decode("latin-1")
        raise RequestError(
            400, f"the Host is {text!r}; expected a name or an address, perhaps with a port"
        )
