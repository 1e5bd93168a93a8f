"""Packages of Debian as files: fetched and unpacked into a folder, without root and without running their scripts.

apt asks the sources that this machine has, also for other architectures, and changes nothing of the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SECONDS = 600
# With an empty status file nothing is installed, so that a package's dependencies are all fetched.
CONFIGURATION = """
{architecture}
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
"""


def unpack(
    packages: Sequence[str],
    target: Path,
    *,
    architecture: str | None = None,
    dependencies: bool = False,
    members: Sequence[str] = (),
) -> None:
    """Unpacks packages into the folder `target`, or only `members` of them, such as ./usr/bin/tool.

    `architecture` is Debian's name of another one than this machine's. Raises OSError with the reason.
    """
    for tool in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise OSError(f"{tool} is not on this machine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        named = f'APT::Architecture "{architecture}";\nAPT::Architectures {{ "{architecture}"; }};'
        configuration = CONFIGURATION.format(
            architecture=named if architecture else "", folder=folder
        )
        (folder / "apt.conf").write_text(configuration)
        environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
        archives = folder / "cache/archives"
        _run(
            ["apt-get", "-qq", "update"], environment, may_fail=True
        )  # of several sources, one may be away
        if dependencies:
            command = ["apt-get", "-qq", "--yes", "--download-only", "install", *packages]
            _run(command, environment)
        else:
            _run(["apt-get", "-qq", "download", *packages], environment, archives)
        target.mkdir(parents=True, exist_ok=True)
        for archive in sorted(archives.glob("*.deb")):
            _extract(archive, target, members)


def _extract(archive: Path, target: Path, members: Sequence[str]) -> None:
    if not members:
        _run(["dpkg-deb", "--extract", str(archive), str(target)], None)
        return
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
    ) as unpacking:
        subprocess.run(
            ["tar", "--extract", "--directory", target, *members],
            stdin=unpacking.stdout,
            stderr=subprocess.DEVNULL,
            check=False,  # a member that is missing is missed by whoever asked for it
        )


def _run(
    command: list[str],
    environment: dict[str, str] | None,
    folder: Path | None = None,
    may_fail: bool = False,
) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} did not answer within {SECONDS} seconds") from None
    if done.returncode and not may_fail:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise OSError(f"{' '.join(command[:3])} failed ({' '.join(last)})")
