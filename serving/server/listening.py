"""The sockets on which the server listens."""

from __future__ import annotations

import os
import socket
import sys
from typing import Tuple

from serving.errors import ServingError

BACKLOG = 1024  # connections waiting to be accepted


def bound(host: str, port: int) -> socket.socket:
    """A socket on an address that nobody listens on. Raises ServingError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _bound(family, address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ServingError(
            f"cannot listen on {host} port {port} ({reason}); choose another with --host and --port"
        ) from None


def bound_to_share(host: str, port: int) -> socket.socket:
    """A socket that keeps an address for others that share it. Raises ServingError.

    The kernel spreads connections over those that listen (SO_REUSEPORT of socket(7)); this one
    does not. Two servers that each share the port would go unnoticed, so it must be free at first.
    """
    if sys.platform != "linux":
        raise ServingError(
            "--processes needs Linux, whose kernel spreads connections over processes; leave it out"
        )
    with bound(host, port) as alone:
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
