"""One connection: reads requests, has them answered one after the other, and ends what takes too long."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Optional

from serving.errors import RequestError
from serving.server.http_parser import Incoming
from serving.server.service import Answer, Request

if TYPE_CHECKING:
    from serving.server.event_loop import Server

# RFC 9112, 9.6: closing at once would reset the connection, and take the answer from a client that still sends
LINGER_SECONDS = 1.0
READ_AHEAD = 1 << 16  # bytes of further requests that are read while one is answered
STATUS_LINES = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}
WITHOUT_BODY = (204, 304)


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server, self.service, self.limits = server, server.service, server.service.limits
        self.incoming = Incoming(self.limits, server.hold)
        self.loop = asyncio.get_running_loop()
        self.answering: Optional[asyncio.Task[None]] = None
        self.since = (
            self.loop.time()
        )  # when it began what it is now about: to wait, to read, to answer, to close
        self.fresh = True  # nothing has been answered yet
        self.closing = self.lost = self.paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections.add(self)
        allowed = self.limits.max_connections
        if len(self.server.connections) > 2 * allowed:  # a flood, which is not answered
            transport.abort()
        elif len(self.server.connections) > allowed:
            self.refuse(
                RequestError(
                    503, f"{allowed} connections are open already, so try again in a second"
                )
            )

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.server.connections.discard(self)
        self.closing = self.lost = True
        self.incoming.release(everything=True)
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if not self.answering and not self.incoming.begun:
            self.since = self.loop.time()
        self.incoming.feed(data)
        if not self.answering:
            self._go_on()
        elif self.incoming.unread > READ_AHEAD:
            self.paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """A client that has sent all it will send still gets its answers."""
        self.incoming.end()
        if self.closing:
            return False
        if not self.answering:
            self._go_on()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _go_on(self) -> None:
        request = self._next()
        if request:
            self.answering = self.loop.create_task(self._answer_all(request))

    def _next(self) -> Optional[Request]:
        """The next request, where it is here; one that cannot be read ends the connection, with an answer."""
        if self.closing:
            return None
        try:
            request = self.incoming.next()
        except RequestError as error:
            self.refuse(error)
            return None
        if request is None and self.incoming.ended:
            self.close()
        elif self.incoming.waits_for_continue:
            self.incoming.waits_for_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return request

    async def _answer_all(self, first: Request) -> None:
        """Answers one request after the other for as long as further ones are here."""
        request: Optional[Request] = first
        while request:
            request = await self._answer(request)
        self.answering = None
        self._read_on()

    async def _answer(self, request: Request) -> Optional[Request]:
        """The request that follows, where it is here and is to be answered."""
        answer = await self.service.answer(request)
        if self.closing:
            return None
        last = self.service.draining or b"close" in request.headers.get(b"connection", b"").lower()
        self._send(answer, request.method == "HEAD", last)
        self.incoming.release()
        self.since, self.fresh = self.loop.time(), False
        if last:
            self.close()
            return None
        if not self._writable.is_set():
            await self._writable.wait()
        if self.incoming.unread:
            await asyncio.sleep(0)  # others have their turn between two requests of one client
        self.since = self.loop.time()
        return self._next()

    def _read_on(self) -> None:
        if self.paused and not self.lost:
            self.paused = False
            self.transport.resume_reading()

    def _send(self, answer: Answer, without_body: bool, last: bool) -> None:
        lines = [STATUS_LINES[answer.status], b"date: ", self.server.date, b"\r\n"]
        if answer.status not in WITHOUT_BODY:
            lines += [
                b"content-type: ",
                answer.content_type,
                b"\r\ncontent-length: %d\r\n" % len(answer.body),
            ]
        for name, value in answer.headers:
            lines += [name, b": ", value, b"\r\n"]
        lines.append(b"connection: close\r\n\r\n" if last else b"\r\n")
        if not without_body and answer.status not in WITHOUT_BODY:
            lines.append(answer.body)
        self.transport.write(b"".join(lines))

    def refuse(self, error: RequestError) -> None:
        """Answers where no request was read whole, and closes."""
        self.service.metrics.requests.add(1, "none", error.status)
        head = self.incoming.head
        self._send(
            self.service.refused(error, head), head is not None and head.method == "HEAD", last=True
        )
        self.close()

    def close(self) -> None:
        """Says that nothing will follow, and reads on for a moment for the client to take what was sent."""
        if self.closing:
            return
        self.closing, self.since = True, self.loop.time()
        self.incoming.release(everything=True)
        if self.incoming.ended:
            self.transport.close()
            return
        with suppress(OSError, RuntimeError):  # the client went away meanwhile
            self.transport.write_eof()
        self._read_on()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def stop(self) -> None:
        """The server stops: what is on its way here already is still answered."""

        def close_if_idle() -> None:
            if not self.answering and not self.incoming.begun:
                self.close()

        self.loop.call_later(LINGER_SECONDS, close_if_idle)

    def check(self, now: float) -> None:
        """Called every second: ends what takes too long."""
        waited = now - self.since
        if self.closing:
            if waited > self.limits.seconds_to_receive:  # an answer that nobody takes
                self.transport.abort()
        elif self.answering:
            if waited > self.limits.seconds_to_answer:
                self._give_up()
        elif self.incoming.begun or self.fresh:
            if waited > self.limits.seconds_to_receive:
                limit = self.limits.seconds_to_receive
                self.refuse(
                    RequestError(
                        408, f"the request did not come within {limit:g} seconds; send it faster"
                    )
                )
        elif waited > self.limits.seconds_idle:
            self.close()

    def _give_up(self) -> None:
        """The answer was not ready in time, or nobody took it."""
        if self.answering:
            self.answering.cancel()
        if self._writable.is_set():
            limit = self.limits.seconds_to_answer
            self.refuse(
                RequestError(
                    503, f"the answer was not ready within {limit:g} seconds, so try again later"
                )
            )
        else:
            self.transport.abort()
