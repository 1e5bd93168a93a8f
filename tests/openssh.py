"""A real SSH server, OpenSSH from Debian's package, which the tests start and stop."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tracking.conftest import free_port
from tests.waiting import SECONDS, wait_for

PROGRAM = Path("/usr/sbin/sshd")
SEPARATION = Path("/run/sshd")  # which it needs if it runs as root


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Path]]:
    """The address user@host:port of a running server, and the private key that it lets in."""
    if not PROGRAM.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "--yes", "--quiet", "openssh-server"]
        subprocess.run(install, capture_output=True, check=False)
    if not PROGRAM.exists():
        pytest.skip("OpenSSH's server is not installed; on Debian: apt-get install openssh-server")
    if os.geteuid() == 0:
        SEPARATION.mkdir(exist_ok=True)
    folder.mkdir()
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    port = free_port()
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",  # temporary folders may be writable for others
        "UsePAM": "no",
        "Subsystem": "sftp internal-sftp",
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "sshd_config").write_text("".join(lines))
    process = subprocess.Popen(
        [PROGRAM, "-D", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listens(port), process)
        yield f"{getpass.getuser()}@127.0.0.1:{port}", folder / "user"
    finally:
        process.terminate()
        process.wait(SECONDS)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
