"""Downloads Debian packages and unpacks them into a folder, without root and without their scripts.

apt uses the sources of this machine, also for other architectures, and does not change the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SECONDS = 600
# With an empty status file nothing counts as installed, so apt downloads all dependencies.
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
    """Unpacks packages, or only `members` of them such as ./usr/bin/tool, into the folder `target`.

    `architecture` is Debian's name of an architecture other than this machine's. Raises OSError
    with the reason.
    """
    for tool in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise OSError(f"{tool} is not installed on this machine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _configure(folder, architecture)
        archives = folder / "cache/archives"
        # One of several sources may be unreachable; a package that is then missing fails below.
        _run(["apt-get", "-qq", "update"], environment, may_fail=True)
        if dependencies:
            command = ["apt-get", "-qq", "--yes", "--download-only", "install", *packages]
            _run(command, environment)
        else:
            _run(["apt-get", "-qq", "download", *packages], environment, archives)
        target.mkdir(parents=True, exist_ok=True)
        for archive in sorted(archives.glob("*.deb")):
            _extract(archive, target, members)


def _configure(folder: Path, architecture: str | None) -> dict[str, str]:
    """Prepares `folder` for apt's state and cache; returns the environment of apt's commands."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    setting = ""
    if architecture:
        setting = (
            f'APT::Architecture "{architecture}";\nAPT::Architectures {{ "{architecture}"; }};'
        )
    configuration = CONFIGURATION.format(architecture=setting, folder=folder)
    (folder / "apt.conf").write_text(configuration)
    return {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}


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
            check=False,  # a missing member is reported by the caller, which looks for its file
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
