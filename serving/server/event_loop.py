"""The server process: one event loop, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import socket
import struct
import time
from contextlib import suppress
from email.utils import formatdate
from typing import Iterator, Set

from serving.server.connection import Connection
from serving.server.service import Service

BACKLOG = 1024  # connections that wait to be accepted
CHECK_SECONDS = 1.0
TURNS_TO_ACCEPT = 10  # of the loop, within which it makes connections of what it has accepted; not once it has closed
SO_ATTACH_FILTER = 26  # of socket(7), on Linux


class Server:
    """After SIGTERM or Ctrl-C the server is not ready any more, and goes on answering for `drain_seconds`, each answer the
    last on its connection, so that whoever distributes the load can turn away; then it takes no more, ends what it has
    begun, and exits with status 0. A second signal does the latter at once."""

    def __init__(self, service: Service, drain_seconds: float) -> None:
        self.service, self.drain_seconds = service, drain_seconds
        self.connections: Set[Connection] = set()
        self.date = b""
        self._held, self._exit_at = 0, float("inf")

    def hold(self, size: int) -> int:
        """Counts so many more bytes of requests; how many are held now, of all connections."""
        self._held += size
        return self._held

    async def serve(self, listening: socket.socket) -> None:
        """Serves on a listening socket until a signal."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def stop() -> None:
            self._exit_at = 0.0 if self.service.draining else time.monotonic() + self.drain_seconds
            self.service.draining = True
            woken.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        self._tick()
        listener = await loop.create_server(
            lambda: Connection(self), sock=listening, backlog=BACKLOG
        )
        while time.monotonic() < self._exit_at:
            with suppress(asyncio.TimeoutError):
                left = self._exit_at - time.monotonic()
                await asyncio.wait_for(woken.wait(), max(0.0, min(CHECK_SECONDS, left)))
            woken.clear()
            self._tick()
        _let_none_in(listening)
        for accepted in _accepted(listening):
            await loop.connect_accepted_socket(lambda: Connection(self), accepted)
        for _ in range(TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        listener.close()
        await self._end()

    def _tick(self) -> None:
        self.date = formatdate(usegmt=True).encode()
        for connection in list(self.connections):
            connection.check(connection.loop.time())

    async def _end(self) -> None:
        """Waits for what was begun, for as long as a request may take to come and to be answered."""
        for connection in self.connections:
            connection.stop()
        limits = self.service.limits
        until = time.monotonic() + limits.seconds_to_receive + limits.seconds_to_wait
        next_tick = 0.0
        while self.connections and time.monotonic() < until:
            if time.monotonic() > next_tick:
                self._tick()
                next_tick = time.monotonic() + CHECK_SECONDS
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.transport.abort()


def _let_none_in(listening: socket.socket) -> None:
    """Has the kernel drop all that comes for new connections: it accepts for us, and closing the socket would reset what
    it accepts at that instant. Who is dropped tries again a second later. Where there is no such filter, some are reset."""
    drop = ctypes.create_string_buffer(
        struct.pack("HBBI", 0x06, 0, 0, 0)
    )  # BPF_RET: of each packet, 0 bytes
    with suppress(OSError):
        program = struct.pack("HL", 1, ctypes.addressof(drop))
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel has accepted for us, which closing the socket would reset."""
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection


def run(
    service: Service,
    listening: socket.socket,
    drain_seconds: float,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Serves on a listening socket until a signal."""
    gc.collect()
    gc.freeze()  # what the start made stays for good, so no collection need look at it again
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(Server(service, drain_seconds).serve(listening))
    finally:
        loop.close()
