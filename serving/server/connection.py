"""One connection: reads requests, answers them in order, and ends whatever takes too long."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Optional

from serving.errors import RequestError
from serving.server.http_parser import RequestParser
from serving.server.messages import Request, Response

if TYPE_CHECKING:
    from serving.server.event_loop import Server

# RFC 9112, 9.6: closing at once resets the connection, and a client that is still sending would
# lose the response.
LINGER_SECONDS = 1.0
READ_AHEAD = 1 << 16  # bytes of further requests that are read while one is answered
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
WITHOUT_BODY = (204, 304)


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server, self.service, self.limits = server, server.service, server.service.limits
        self.parser = RequestParser(self.limits, server.hold)
        self.loop = asyncio.get_running_loop()
        self.answering: Optional[asyncio.Task[None]] = None
        self.since = self.loop.time()  # when it began to wait, to read, to answer or to close
        self.fresh = True  # nothing has been answered yet
        self.closing = self.lost = self.paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections.add(self)
        self.server.open.add(1)
        count, limit = self.server.open.of_all, self.limits.max_connections
        if count > 2 * limit:  # a flood is not even answered
            transport.abort()
        elif count > limit:
            self.refuse(
                RequestError(503, f"{limit} connections are open already, so try again in a second")
            )

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.server.connections.discard(self)
        self.server.open.add(-1)
        self.closing = self.lost = True
        self.parser.release(everything=True)
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if not self.answering and not self.parser.begun:
            self.since = self.loop.time()
        self.parser.feed(data)
        if not self.answering:
            self._answer_next()
        elif self.parser.unread > READ_AHEAD:
            self.paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """A client that will send nothing more still gets its responses."""
        self.parser.ended = True
        if self.closing:
            return False
        if not self.answering:
            self._answer_next()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _answer_next(self) -> None:
        request = self._next_request()
        if request:
            self.answering = self.loop.create_task(self._answer_all(request))

    def _next_request(self) -> Optional[Request]:
        """The next request if it has arrived; an unreadable one is refused and ends everything."""
        if self.closing:
            return None
        try:
            request = self.parser.next()
        except RequestError as error:
            self.refuse(error)
            return None
        if request is None and self.parser.ended:
            self.close()
        elif self.parser.waits_for_continue:
            self.parser.waits_for_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return request

    async def _answer_all(self, first: Request) -> None:
        """Answers requests in order until no further one has arrived."""
        request: Optional[Request] = first
        while request:
            request = await self._answer(request)
        self.answering = None
        self._resume_reading()

    async def _answer(self, request: Request) -> Optional[Request]:
        """Answers the request; returns the next one if it has arrived and may be answered."""
        response = await self.service.respond(request)
        if self.closing:
            return None
        last = self.service.draining or b"close" in request.headers.get(b"connection", b"").lower()
        self._send(response, request.method == "HEAD", last)
        self.parser.release()
        self.since, self.fresh = self.loop.time(), False
        if last:
            self.close()
            return None
        if not self._writable.is_set():
            await self._writable.wait()
        if self.parser.unread:
            await asyncio.sleep(0)  # let other connections run between two requests of this one
        self.since = self.loop.time()
        return self._next_request()

    def _resume_reading(self) -> None:
        if self.paused and not self.lost:
            self.paused = False
            self.transport.resume_reading()

    def _send(self, response: Response, without_body: bool, last: bool) -> None:
        has_body = response.status not in WITHOUT_BODY
        parts = [STATUS_LINES[response.status], b"date: ", self.server.date, b"\r\n"]
        if has_body:
            parts += [b"content-type: ", response.content_type]
            parts.append(b"\r\ncontent-length: %d\r\n" % len(response.body))
        for name, value in response.headers:
            parts += [name, b": ", value, b"\r\n"]
        parts.append(b"connection: close\r\n\r\n" if last else b"\r\n")
        if has_body and not without_body:
            parts.append(response.body)
        self.transport.write(b"".join(parts))

    def refuse(self, error: RequestError) -> None:
        """Responds without a complete request, and closes."""
        self.service.metrics.requests.add(1, "none", error.status)
        head = self.parser.head
        response = self.service.refuse_unread(error, head)
        self._send(response, head is not None and head.method == "HEAD", last=True)
        self.close()

    def close(self) -> None:
        """Sends nothing more, but reads on for a moment so that the client can take the rest."""
        if self.closing:
            return
        self.closing, self.since = True, self.loop.time()
        self.parser.release(everything=True)
        if self.parser.ended:
            self.transport.close()
            return
        with suppress(OSError, RuntimeError):  # the client has gone meanwhile
            self.transport.write_eof()
        self._resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def stop(self) -> None:
        """The server stops: a request that is on its way already is still answered."""

        def close_if_idle() -> None:
            if not self.answering and not self.parser.begun:
                self.close()

        self.loop.call_later(LINGER_SECONDS, close_if_idle)

    def check(self, now: float) -> None:
        """Called every second; ends whatever takes too long."""
        waited = now - self.since
        if self.closing:
            if waited > self.limits.seconds_to_receive:  # nobody takes the response
                self.transport.abort()
        elif self.answering:
            if waited > self.limits.seconds_to_answer:
                self._give_up()
        elif self.parser.begun or self.fresh:
            limit = self.limits.seconds_to_receive
            if waited > limit:
                self.refuse(
                    RequestError(
                        408, f"the request did not arrive within {limit:g} seconds; send it faster"
                    )
                )
        elif waited > self.limits.seconds_idle:
            self.close()

    def _give_up(self) -> None:
        """The response was not ready in time, or nobody took it."""
        if self.answering:
            self.answering.cancel()
        if self._writable.is_set():
            limit = self.limits.seconds_to_answer
            self.refuse(
                RequestError(
                    503, f"the response was not ready within {limit:g} seconds, so try again later"
                )
            )
        else:
            self.transport.abort()
