"""A request and its response, free of any transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Tuple

from serving.errors import RequestError
from serving.server.json_body import dumps

HTML = b"text/html; charset=utf-8"


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
