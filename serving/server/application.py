"""The service over ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict, Optional

from serving.errors import RequestError
from serving.server.service import Answer, Request, Service, refusal

Message = Dict[str, Any]


class Application:
    """One instance is one ASGI application."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._held = 0  # bytes of bodies that are being received, of all requests

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        headers = dict(scope["headers"])
        try:
            body = await self._body(headers, receive)
        except RequestError as error:
            answer = refusal(error)
            self.service.metrics.requests.add(1, "none", error.status)
        else:
            if body is None:
                return
            query = scope["query_string"].decode("latin-1")
            answer = await self.service.answer(Request(scope["method"], scope["path"], query, headers, body))
        await send({"type": "http.response.start", "status": answer.status, "headers": self._headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})

    def _headers(self, answer: Answer) -> Any:
        headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
        return [*headers, (b"connection", b"close")] if self.service.draining else headers

    async def _body(self, headers: Dict[bytes, bytes], receive: Callable[[], Awaitable[Message]]) -> Optional[bytes]:
        """The whole body; None where the client went away. Raises RequestError for one that is too large, as soon as that is known."""
        limits = self.service.limits
        too_large = RequestError(413, f"the body is larger than {limits.max_body_bytes} bytes; send fewer images at a time")
        announced = headers.get(b"content-length")
        if announced is not None and int(announced) > limits.max_body_bytes:
            raise too_large
        message = await receive()
        if not message.get("more_body"):
            return None if message["type"] == "http.disconnect" else message["body"]
        parts, size = [], 0
        try:
            while True:
                part = message["body"]
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > limits.max_body_bytes:
                    raise too_large
                if self._held > limits.max_held_bytes:
                    raise RequestError(503, "too many large requests are being received, so try again in a second")
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
        finally:
            self._held -= size
