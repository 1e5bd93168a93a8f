"""A request and its response, free of any transport, and the content codings of their bodies."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from serving.errors import RequestError
from serving.server.json_body import dumps

HTML = b"text/html; charset=utf-8"
ENCODINGS = ("gzip", "deflate")
COMPRESSED_FROM = 1024  # bytes; compressing a smaller body gains nothing


class Request(NamedTuple):
    """`path` is decoded; `headers` maps each name, in lower case, to all its values."""

    method: str
    path: str
    query: str
    headers: Dict[bytes, bytes]
    body: bytes

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


@dataclass
class Response:
    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: List[Tuple[bytes, bytes]] = field(default_factory=list)


def json_response(value: Any) -> Response:
    return Response(200, dumps(value))


def redirect(address: str) -> Response:
    """`address` is relative to that of the request: a proxy may serve us below a path."""
    return Response(307, b"", headers=[(b"location", address.encode())])


def refusal(error: RequestError) -> Response:
    """The response to every refused request."""
    headers = [*error.headers, *([(b"retry-after", b"1")] if error.status == 503 else [])]
    return Response(error.status, dumps({"error": str(error)}), headers=headers)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding.

    Decompresses at most `limit` + 1 bytes. Raises RequestError.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        expected = " or ".join(ENCODINGS)
        raise RequestError(
            415, f"the content encoding {encoding[:40]!r} is not supported; expected {expected}"
        )
    stream = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
    try:
        result = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(400, f"the body is not {encoding} ({error})") from None
    if len(result) > limit:
        raise RequestError(
            413,
            f"the body is larger than {limit} bytes when decompressed; send fewer images at a time",
        )
    if not stream.eof or stream.unused_data:
        raise RequestError(400, f"the body is not one complete {encoding} stream")
    return result


def compress(body: bytes, accepted: str) -> Tuple[bytes, Optional[str]]:
    """The body in the first encoding of the Accept-Encoding header that we know, and its name.

    The name is None where the body stays as it is.
    """
    if not accepted or len(body) < COMPRESSED_FROM:
        return body, None
    for item in accepted.lower().split(","):
        encoding, _, quality = item.partition(";")
        encoding = encoding.strip()
        if encoding not in ENCODINGS or (quality and not quality.strip(" q=.0")):
            continue
        if encoding == "gzip":
            return gzip.compress(body, 1, mtime=0), encoding
        return zlib.compress(body, 1), encoding
    return body, None
