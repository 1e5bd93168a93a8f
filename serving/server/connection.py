"""uvicorn's HTTP connection with the limits that it lacks: heads, pipelines, slow senders and readers, connections."""

from __future__ import annotations

from itertools import chain
from typing import Any, Optional, Type

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.errors import RequestError
from serving.server.limits import Limits
from serving.server.service import refusal

UNREADABLE = "this is not an HTTP request that the server can read; see RFC 9112"
LINGER_SECONDS = 1.0  # RFC 9112, 9.6: closing at once would reset the connection, and take the answer from a client that still sends


class Connection(HttpToolsProtocol):
    """Where uvicorn answers in plain text or waits for ever, this answers as the service does, and closes."""

    limits: Limits

    @classmethod
    def limited(cls, limits: Limits) -> Type[Connection]:
        """The class that uvicorn is to make its connections of."""
        return type("LimitedConnection", (cls,), {"limits": limits})

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.since: Optional[float] = self.loop.time()  # when what the server now waits for began; None between two requests
        self.in_head, self.head_bytes = True, 0
        self.fault = RequestError(400, UNREADABLE)
        self.refused = False
        if len(self.connections) > self.limits.max_connections:
            self.refuse(RequestError(503, f"{self.limits.max_connections} connections are open already, so try again in a second"))

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self.since is None:
            self.since = self.loop.time()
        was_in_head = self.in_head
        super().data_received(data)
        if was_in_head and self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > self.limits.max_head_bytes and not self.refused:
                self.refuse(self._head_too_large())

    def eof_received(self) -> Optional[bool]:  # type: ignore[override]
        """A client that has sent all it will send still gets its answer."""
        if self.refused or self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head, self.head_bytes = True, 0
        if len(self.pipeline) >= self.limits.max_pipelined:
            self.fault = RequestError(400, f"more than {self.limits.max_pipelined} requests were sent before the first answer; send fewer")
            raise self.fault

    def on_headers_complete(self) -> None:
        self.in_head = False
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > self.limits.max_head_bytes:
            self.fault = self._head_too_large()
            raise self.fault
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:  # the answer, a refusal, was there before the body
            self.on_response_complete()

    def on_response_complete(self) -> None:
        self.since = self.loop.time() if self.pipeline else None
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self.refuse(self.fault)

    def refuse(self, error: RequestError) -> None:
        """Answers where no request was read whole, and closes soon."""
        self.refused = True
        answer = refusal(error)
        headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
        lines = b"".join(b"%s: %s\r\n" % header for header in [*headers, (b"connection", b"close")])
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + answer.body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """The server stops: what is on its way here already is still answered."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def check(self, now: float) -> None:
        """Called every second: ends what takes too long."""
        if self.transport.is_closing():
            self.since = self.since or now
        if self.since is None:
            return
        waited = now - self.since
        if waited > self.limits.seconds_to_answer or (self.transport.is_closing() and waited > self.limits.seconds_to_receive):
            self.transport.abort()
        elif waited > self.limits.seconds_to_receive and not self.refused and (self.in_head or self._in_body()):
            self.refuse(RequestError(408, f"the request did not come within {self.limits.seconds_to_receive:g} seconds; send it faster"))

    def _in_body(self) -> bool:
        return self.cycle is not None and self.cycle.more_body and not self.cycle.response_started

    def _head_too_large(self) -> RequestError:
        return RequestError(431, f"the request line and headers are larger than {self.limits.max_head_bytes} bytes; send fewer")
