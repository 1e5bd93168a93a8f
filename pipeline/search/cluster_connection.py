"""The connection of a command to the scheduler of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging

from distributed import Client, Security, comm

from pipeline.process.errors import UserError

SECONDS_TO_CONNECT = 10
SCHEDULER = "`dask scheduler --host 127.0.0.1`"


def connected(address: str) -> Client:
    """Raises UserError."""
    # What happens to the connection, the command tells itself.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(_reach(address))
        return Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"--cluster is {address}, where no scheduler answers ({reason(error)}); start one with"
            f" {SCHEDULER}"
        ) from None


async def _reach(address: str) -> None:
    """Connects and leaves; a Client that cannot connect hangs when Python ends."""
    security = Security().get_connection_args("client")
    connection = await comm.connect(address, timeout=SECONDS_TO_CONNECT, **security)
    await connection.close()


def reason(error: BaseException) -> str:
    """The kind and the beginning of the message of an error, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
