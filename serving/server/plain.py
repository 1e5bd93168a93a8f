"""The service on the standard library's HTTP server, for a device that may install no package: slower, with the same answers."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, Optional
from urllib.parse import unquote, urlsplit

from serving.errors import RequestError
from serving.server.service import Answer, Request, Service, refusal


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = 1 << 16, True  # head and body in one packet: two would wait for each other's acknowledgement
    server: PlainServer

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.service.limits.seconds_idle)

    def handle_one_request(self) -> None:
        self.rfile.peek(1)  # type: ignore[attr-defined]
        self.server.since[self.connection] = time.monotonic()
        super().handle_one_request()
        self.server.since[self.connection] = None

    def respond(self) -> None:
        service = self.server.service
        try:
            request = self._request()
        except RequestError as error:
            self.close_connection = True  # the body was not read
            self._send(refusal(error))
            return
        self._send(asyncio.run(service.answer(request)))

    def __getattr__(self, name: str) -> Any:
        """Every method comes to the service, which knows what is allowed."""
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def _request(self) -> Request:
        limits = self.server.service.limits
        if "transfer-encoding" in self.headers:
            raise RequestError(411, "the body comes in chunks, which this server cannot read; send its Content-Length")
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise RequestError(400, f"the Content-Length is {length[:40]!r}; allowed is a count of bytes")
        if int(length[:12]) > limits.max_body_bytes:
            raise RequestError(413, f"the body is larger than {limits.max_body_bytes} bytes; send fewer images at a time")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise RequestError(400, f"the body ended after {len(body)} of {length} bytes")
        parts = urlsplit(self.path)
        headers = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in self.headers.items()}
        return Request(self.command, unquote(parts.path), parts.query, headers, body)

    def _send(self, answer: Answer) -> None:
        if self.server.service.draining:
            self.close_connection = True
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type.decode())
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name.decode(), value.decode())
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: Optional[str] = None, explain: Optional[str] = None) -> None:
        """What the standard library refuses by itself, in our form."""
        self.close_connection = True
        self._send(
            refusal(RequestError(405 if code == 501 else code, f"this request cannot be answered ({message or code}); see RFC 9112"))
        )

    def version_string(self) -> str:
        return "serving"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class PlainServer(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def __init__(self, service: Service, listening: socket.socket) -> None:
        super().__init__(listening.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.service = service
        self.since: Dict[socket.socket, Optional[float]] = {}  # when the request began that a connection is in

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self.since) >= self.service.limits.max_connections:
            self.shutdown_request(request)
            return
        self.since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""

    def service_actions(self) -> None:
        """Called twice a second: ends connections that take too long."""
        now = time.monotonic()
        for connection, since in list(self.since.items()):
            if since is not None and now - since > self.service.limits.seconds_to_receive:
                connection.shutdown(socket.SHUT_RD)


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
