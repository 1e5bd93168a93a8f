"""HTTP's content codings gzip and deflate, with a limit on the decompressed size."""

from __future__ import annotations

import gzip
import zlib
from typing import Optional, Tuple

from serving.errors import RequestError

ENCODINGS = ("gzip", "deflate")
COMPRESSED_FROM = 1024  # bytes; compressing a smaller body gains nothing
REFUSED = ("q=0", "q=0.0", "q=0.00", "q=0.000")


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
        if encoding not in ENCODINGS or quality.replace(" ", "") in REFUSED:
            continue
        if encoding == "gzip":
            return gzip.compress(body, 1, mtime=0), encoding
        return zlib.compress(body, 1), encoding
    return body, None
