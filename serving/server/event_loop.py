"""The server's sockets and event loop: accepts connections, and drains them on SIGTERM."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Callable, Optional, Set, Tuple

from serving.errors import ServingError
from serving.server.connection import Connection
from serving.server.service import Service

if TYPE_CHECKING:
    from serving.server.grpc_server import GrpcServer

BACKLOG = 1024  # connections waiting to be accepted
CHECK_SECONDS = 1.0
COUNTS = 2  # that the server asks of its place
# Turns of the loop that turn accepted sockets into connections, which closing the listener would
# prevent.
TURNS_TO_ACCEPT = 10
HANDSHAKE_SECONDS = 0.5  # in which a client completes the connection that it has begun
SO_ATTACH_FILTER = 26  # of socket(7), on Linux
# Classic BPF, of a TCP header: drops packets with SYN in byte 13.
WITHOUT_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class Server:
    """Serves until SIGTERM or Ctrl-C, then drains.

    While it drains, for `drain_seconds`, it reports not ready, so that a load balancer can turn
    away; it still answers, and every response is the last on its connection. Then it accepts no
    more, finishes the requests that have begun, and exits with status 0. A second signal skips
    the drain.
    """

    def __init__(
        self,
        service: Service,
        drain_seconds: float,
        on_listening: Callable[[], None],
        grpc: Optional[GrpcServer] = None,
    ) -> None:
        self.service, self.drain_seconds = service, drain_seconds
        self._on_listening, self._grpc = on_listening, grpc
        self.connections: Set[Connection] = set()
        self.date = b""
        place = service.metrics.place
        self.open, self._held = place.count(), place.count()
        self._exit_at = float("inf")

    def hold(self, size: int) -> int:
        """Adds `size` to the bytes of requests that all connections hold; returns their sum."""
        self._held.add(size)
        return self._held.of_all

    async def serve(self, listening: socket.socket) -> None:
        """Serves on a listening socket until a signal."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def stop() -> None:
            self._exit_at = 0.0 if self.service.draining else time.monotonic() + self.drain_seconds
            self.service.drain()
            woken.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
        self._tick()
        listener = await loop.create_server(
            lambda: Connection(self), sock=listening, backlog=BACKLOG
        )
        if self._grpc:
            await self._grpc.start(self.hold)
        self._on_listening()
        while time.monotonic() < self._exit_at:
            with suppress(asyncio.TimeoutError):
                left = self._exit_at - time.monotonic()
                await asyncio.wait_for(woken.wait(), max(0.0, min(CHECK_SECONDS, left)))
            woken.clear()
            self._tick()
        _drop_new_connections(listening)
        await asyncio.sleep(HANDSHAKE_SECONDS)
        for _ in range(TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        listener.close()
        limits = self.service.limits
        seconds = limits.seconds_to_receive + limits.seconds_to_wait
        await asyncio.gather(
            self._finish(seconds), *([self._grpc.stop(seconds)] if self._grpc else [])
        )

    def _tick(self) -> None:
        self.date = formatdate(usegmt=True).encode()
        for connection in list(self.connections):
            connection.check(connection.loop.time())
        self.service.metrics.publish()

    async def _finish(self, seconds: float) -> None:
        """Waits for open requests, as long as one may take to arrive and to be answered."""
        for connection in self.connections:
            connection.stop()
        until = time.monotonic() + seconds
        next_tick = 0.0
        while self.connections and time.monotonic() < until:
            if time.monotonic() > next_tick:
                self._tick()
                next_tick = time.monotonic() + CHECK_SECONDS
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.transport.abort()


def _drop_new_connections(listening: socket.socket) -> None:
    """Has the kernel drop the packets that ask for a connection.

    Closing the socket resets those that are not accepted by then. A dropped client tries again a
    second later. Where there is no such filter, some connections are reset.
    """
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in WITHOUT_SYN)
    instructions = ctypes.create_string_buffer(code)
    with suppress(OSError):
        program = struct.pack("HL", len(WITHOUT_SYN), ctypes.addressof(instructions))
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def run(server: Server, listening: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Serves on a listening socket until a signal."""
    gc.collect()
    gc.freeze()  # objects of the start-up live forever, so collections need not visit them
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(server.serve(listening))
    finally:
        loop.close()


def bound(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket on an address that nobody listens on. Raises ServingError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _bound(family, address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ServingError(
            f"cannot listen on {host} port {port} ({reason}); "
            f"choose another with --host and {option}"
        ) from None


def bound_to_share(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that keeps an address for others that share it. Raises ServingError.

    The kernel spreads connections over those that listen (SO_REUSEPORT of socket(7)); this one
    does not. Two servers that each share the port would go unnoticed, so it must be free at first.
    """
    if sys.platform != "linux":
        raise ServingError(
            "--processes needs Linux, whose kernel spreads connections over processes; leave it out"
        )
    with bound(host, port, option) as alone:
        alone.listen()
        family, address = alone.family, alone.getsockname()
    return shared(family, address)


def shared(family: int, address: Tuple[object, ...]) -> socket.socket:
    """One more socket on an address that `bound_to_share` keeps."""
    return _bound(family, address, socket.SO_REUSEPORT)


def _bound(family: int, address: Tuple[object, ...], *options: int) -> socket.socket:
    own = socket.socket(family)
    try:
        for option in (socket.SO_REUSEADDR, *options) if os.name == "posix" else ():
            own.setsockopt(socket.SOL_SOCKET, option, 1)
        own.bind(address)
    except BaseException:
        own.close()
        raise
    return own


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
