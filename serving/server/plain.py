"""The service on the standard library's HTTP server, for a device that may install no package: slower, with the same answers."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, Optional, Set

from serving.errors import RequestError
from serving.server.incoming import Incoming, TimeIsUp, too_slow
from serving.server.service import Answer, Service, refusal

LINGER_SECONDS = 1.0  # RFC 9112, 9.6: closing at once would reset the connection, and take the answer from a client that still sends


class Handler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    protocol_version = request_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = 1 << 16, True  # head and body in one packet: two would wait for each other's acknowledgement
    server: PlainServer

    def handle(self) -> None:
        """Answers requests until one is the last; what cannot be read ends the connection, with an answer."""
        self.incoming = Incoming(self.connection, self.server.service.limits, self.server.hold)
        self.close_connection = False
        try:
            if self.connection in self.server.crowd:
                allowed = self.server.service.limits.max_connections
                raise RequestError(503, f"{allowed} connections are open already, so try again in a second")
            while not self.close_connection:
                self.handle_one_request()
        except RequestError as error:
            self._refuse(error)
        finally:
            self.incoming.release()

    def handle_one_request(self) -> None:
        service, since = self.server.service, self.server.since
        is_first = since[self.connection] is not None
        try:
            more = self.incoming.wait(service.limits.seconds_to_receive if is_first else service.limits.seconds_idle)
        except TimeIsUp:
            if is_first:
                raise too_slow(service.limits) from None
            more = False
        if not more:
            self.close_connection = True
            return
        since[self.connection] = time.monotonic()
        request = self.incoming.read()
        self.close_connection = b"close" in request.headers.get(b"connection", b"").lower()
        self._send(asyncio.run(service.answer(request)), with_body=request.method != "HEAD")
        self.incoming.release()
        since[self.connection] = None

    def _refuse(self, error: RequestError) -> None:
        """Answers where no request was read whole, and waits a moment for the client to read that."""
        self.close_connection = True
        self.server.service.metrics.requests.add(1, "none", error.status)
        self._send(refusal(error))
        self.connection.shutdown(socket.SHUT_WR)
        self.incoming.discard(LINGER_SECONDS)

    def _send(self, answer: Answer, with_body: bool = True) -> None:
        if self.server.service.draining:
            self.close_connection = True
        self.connection.settimeout(None)  # PlainServer ends an answer that nobody takes
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type.decode())
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name.decode(), value.decode())
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)
        self.wfile.flush()

    def version_string(self) -> str:
        return "serving"

    def log_request(self, *_: Any) -> None:
        pass


class PlainServer(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def __init__(self, service: Service, listening: socket.socket) -> None:
        super().__init__(listening.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.service = service
        self.since: Dict[socket.socket, Optional[float]] = {}  # when the request began that a connection is in
        self.crowd: Set[socket.socket] = set()  # connections beyond the limit, each of which is told so
        self._held, self._lock = 0, threading.Lock()

    def hold(self, size: int) -> int:
        """Counts so many more bytes of bodies; how many are held now, of all connections."""
        with self._lock:
            self._held += size
            return self._held

    def process_request(self, request: Any, client_address: Any) -> None:
        allowed = self.service.limits.max_connections
        if len(self.since) >= 2 * allowed:  # a flood, to answer which would take as many threads
            self.shutdown_request(request)
            return
        if len(self.since) >= allowed:
            self.crowd.add(request)
        self.since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.since.pop(request, None)
        self.crowd.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"error: {error!r}", file=sys.stderr)

    def service_actions(self) -> None:
        """Called twice a second: ends connections whose answer nobody takes."""
        now = time.monotonic()
        for connection, since in list(self.since.items()):
            if since is not None and now - since > self.service.limits.seconds_to_answer:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def run(service: Service, listening: socket.socket, drain_seconds: float) -> None:
    """Serves on a listening socket until a signal, and answers what it has begun."""
    server = PlainServer(service, listening)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stop.wait()
    service.draining = True
    time.sleep(drain_seconds)
    server.shutdown()
    listening.settimeout(0)
    with suppress(BlockingIOError):
        while True:  # those that the kernel has accepted for us
            server.process_request(*server.get_request())
    server.server_close()
    until = time.monotonic() + service.limits.seconds_to_answer
    while any(since is not None for since in list(server.since.values())) and time.monotonic() < until:
        time.sleep(0.01)
