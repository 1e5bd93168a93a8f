"""A bad line: relays to an HTTP server, and breaks off the first answer to each request for a file.

A request that asks for the rest of a file (`Range`) gets it.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CuttingProxy(socketserver.ThreadingTCPServer):
    """`cut` and `resumed` count the answers that were broken off, and those that went on."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, upstream: tuple[str, int], suffix: bytes, after: int) -> None:
        self.upstream, self.suffix, self.after = upstream, suffix, after
        self.cut = self.resumed = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Relay)


class Relay(socketserver.BaseRequestHandler):
    """One request a connection, as curl makes them here."""

    server: CuttingProxy
    request: socket.socket

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.request.recv(65536)
            if not part:
                return
            head += part
        resumes = b"\r\nrange:" in head.lower()
        whole = not head.split(b"\r\n", 1)[0].split(b" ")[1].endswith(self.server.suffix)
        with self.server.lock:
            self.server.cut += not (whole or resumes)
            self.server.resumed += resumes
        with socket.create_connection(self.server.upstream) as upstream:
            upstream.sendall(head)
            self._relay(upstream, None if whole or resumes else self.server.after)

    def _relay(self, upstream: socket.socket, most: int | None) -> None:
        sent = 0
        while (most is None or sent < most) and (part := upstream.recv(65536)):
            self.request.sendall(part if most is None else part[: most - sent])
            sent += len(part)


@contextmanager
def running(proxy: CuttingProxy) -> Iterator[CuttingProxy]:
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
