"""A real PostgreSQL server from Debian's package, which the tests start and stop.

It listens on a socket in a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.waiting import SECONDS, wait_for

VERSIONS = Path("/usr/lib/postgresql")


def programs() -> Path:
    """The folder of initdb and postgres; root installs the package if it is missing."""
    if not VERSIONS.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "--yes", "--quiet", "postgresql"],
            capture_output=True,
            check=False,
        )
    installed = sorted(VERSIONS.glob("*/bin/initdb"))
    if not installed:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return installed[-1].parent


@contextmanager
def server() -> Iterator[str]:
    """The address of a running server.

    PostgreSQL refuses to run as root, which therefore starts it as the package's user.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # a socket's path must be short
    owner = "postgres" if os.geteuid() == 0 else None
    if owner:
        shutil.chown(folder, owner)
    binaries = programs()
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    data = folder / "data"
    initdb: list[str | Path] = [
        binaries / "initdb",
        "--auth=trust",
        "--username=tester",
        "--no-sync",
        data,
    ]
    subprocess.run(initdb, user=owner, cwd=folder, capture_output=True, check=True)
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, *options],
        user=owner,
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    address = f"postgresql://tester@/postgres?host={folder}"
    try:
        wait_for(lambda: answers(address), process)
        yield address
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown, which does not wait for clients
        process.wait(SECONDS)
        shutil.rmtree(folder)


def answers(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True
