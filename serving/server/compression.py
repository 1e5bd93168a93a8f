"""HTTP's content codings, gzip and deflate, with a bound on what is made of a compressed body."""

from __future__ import annotations

import gzip
import zlib
from typing import Optional, Tuple

from serving.errors import RequestError

ENCODINGS = ("gzip", "deflate")
COMPRESSED_FROM = 1024  # bytes; a smaller answer gains nothing


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding; never more than `limit` bytes are made. Raises RequestError."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise RequestError(
            415,
            f"the content encoding {encoding[:40]!r} is not supported; allowed are {' and '.join(ENCODINGS)}",
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
        raise RequestError(400, f"the body is not one whole {encoding} stream")
    return result


def compress(body: bytes, accepted: str) -> Tuple[bytes, Optional[str]]:
    """The body in the first encoding that the Accept-Encoding header allows, and its name; None for the body as it is."""
    if accepted and len(body) >= COMPRESSED_FROM:
        for item in accepted.lower().split(","):
            encoding, _, quality = item.partition(";")
            if encoding.strip() in ENCODINGS and quality.replace(" ", "") not in (
                "q=0",
                "q=0.0",
                "q=0.00",
                "q=0.000",
            ):
                gzipped = encoding.strip() == "gzip"
                return (
                    (gzip.compress(body, 1, mtime=0), "gzip")
                    if gzipped
                    else (zlib.compress(body, 1), "deflate")
                )
    return body, None
