"""A scheduler of Dask, which talks only to those who have the team's certificate."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

from pipeline.team import certificate
from pipeline.team.server import HOST, Server
from pipeline.team.settings import Settings

# Pages of the scheduler's state, which would ask nobody for the certificate
NO_PAGES = ("--no-dashboard", "--dashboard-address", f"{HOST}:0")
NO_ROUTES = {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]"}
ROLES = ("SCHEDULER", "WORKER", "CLIENT")


def is_installed() -> bool:
    return importlib.util.find_spec("distributed") is not None


def server(folder: Path, settings: Settings) -> Server:
    port = str(settings.ports.dask)
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    command += ["--protocol", "tls", "--host", HOST, "--port", port, *NO_PAGES]
    return Server(
        "Dask",
        address(settings),
        command,
        lambda: _listens(settings.ports.dask),
        folder / "dask.log",
        environment={**variables(folder), **NO_ROUTES},
    )


def address(settings: Settings) -> str:
    return f"tls://{HOST}:{settings.ports.dask}"


def variables(folder: Path) -> dict[str, str]:
    """The environment of the scheduler, of workers, and of commands that use them."""
    both = certificate.make(folder)
    start = "DASK_DISTRIBUTED__COMM__"
    environment = {
        f"{start}REQUIRE_ENCRYPTION": "true",
        f"{start}TLS__CA_FILE": str(both.certificate),
    }
    for role in ROLES:
        environment[f"{start}TLS__{role}__CERT"] = str(both.certificate)
        environment[f"{start}TLS__{role}__KEY"] = str(both.key)
    return environment


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
