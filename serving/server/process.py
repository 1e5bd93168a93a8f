"""The server process on uvicorn: one loop, limited connections, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from contextlib import suppress
from types import FrameType
from typing import Iterator, List, Optional

import uvicorn

from serving.server.application import Application
from serving.server.connection import Connection
from serving.server.service import Service


class Server(uvicorn.Server):
    """After SIGTERM or Ctrl-C the server is not ready any more, and goes on answering for `drain_seconds`, each answer the
    last on its connection, so that whoever distributes the load can turn away; then it takes no more, ends what it has
    begun, and exits with status 0. A second signal does the latter at once."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self.service, self.drain_seconds = service, drain_seconds
        self.exit_at: Optional[float] = None

    def handle_exit(self, sig: int, frame: Optional[FrameType]) -> None:
        self.exit_at = 0.0 if self.service.draining else time.monotonic() + self.drain_seconds
        self.service.draining = True

    async def on_tick(self, counter: int) -> bool:
        now = time.monotonic()
        if counter % 10 == 0:
            self._check_connections()
        self.should_exit = self.exit_at is not None and now >= self.exit_at
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Optional[List[socket.socket]] = None) -> None:
        accepted = [connection for listening in sockets or [] for connection in _accepted(listening)]
        for server in self.servers:
            server.close()
        for connection in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        checking = asyncio.create_task(self._check_for_ever())
        await super().shutdown(sockets)
        checking.cancel()

    def _check_connections(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(connection.loop.time())

    async def _check_for_ever(self) -> None:
        """uvicorn's ticks end where its shutdown begins, and slow clients must not hold that up."""
        while True:
            self._check_connections()
            await asyncio.sleep(1)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel has accepted for us, which closing the socket would reset."""
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection


def run(service: Service, listening: socket.socket, drain_seconds: float) -> None:
    """Serves on a listening socket until a signal."""
    config = uvicorn.Config(
        Application(service),
        http=Connection.limited(service.limits),
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(service.limits.seconds_idle),
        timeout_graceful_shutdown=int(service.limits.seconds_to_receive + service.limits.seconds_to_wait),
    )
    gc.collect()
    gc.freeze()  # what the start made stays for good, so no collection need look at it again
    Server(config, service, drain_seconds).run(sockets=[listening])
