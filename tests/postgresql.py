"""The PostgreSQL server of a team, alone, which the tests start and stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.team import postgresql, settings
from pipeline.team.server import Server, running


def installed() -> None:
    """Root installs Debian's package if it is missing; others skip the test."""
    if not postgresql.DEBIAN.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "--yes", "--quiet", "postgresql"]
        subprocess.run(install, capture_output=True, check=False)
    if not postgresql.DEBIAN.exists():
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter if root runs the tests; pytest's are closed."""
    installed()
    path = Path(tempfile.mkdtemp(prefix="team-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def server() -> Iterator[str]:
    """The address of a database on a running server."""
    with killable() as (address, _):
        yield address


@contextmanager
def killable() -> Iterator[tuple[str, Server]]:
    """The same, and the server, which may be killed and started again."""
    with folder() as data:
        team = settings.load(data)
        with running(postgresql.server(data, team)) as server:
            address = postgresql.address(team, "studies")
            yield address.replace("@", f":{team.secrets.postgresql}@"), server


def kill(server: Server) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
