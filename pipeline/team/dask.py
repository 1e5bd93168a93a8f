"""A scheduler of Dask, which talks only to those who have the team's certificate."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

from pipeline.team import certificate
from pipeline.team.server import HOST, Server
from pipeline.team.settings import Settings

ROLES = ("SCHEDULER", "WORKER", "CLIENT")


def is_installed() -> bool:
    return importlib.util.find_spec("distributed") is not None


def server(folder: Path, settings: Settings) -> Server:
    port = str(settings.ports.dask)
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    command += ["--protocol", "tls", "--host", HOST, "--port", port, "--no-dashboard"]
    return Server(
        "Dask",
        address(settings),
        command,
        lambda: _listens(settings.ports.dask),
        folder / "dask.log",
        environment=variables(folder, settings),
    )


def address(settings: Settings) -> str:
    return f"tls://{HOST}:{settings.ports.dask}"


def variables(folder: Path, settings: Settings) -> dict[str, str]:
    """The environment of the scheduler, of workers, and of commands that use them."""
    both = certificate.make(folder)
    start = "DASK_DISTRIBUTED__COMM__"
    found = {
        "EDGEPROOF_CLUSTER": address(settings),
        f"{start}REQUIRE_ENCRYPTION": "true",
        f"{start}TLS__CA_FILE": str(both.certificate),
    }
    for role in ROLES:
        found[f"{start}TLS__{role}__CERT"] = str(both.certificate)
        found[f"{start}TLS__{role}__KEY"] = str(both.key)
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
