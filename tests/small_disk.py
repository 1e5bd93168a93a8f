"""A disk of a few megabytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 20


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    """Mounts one on an empty folder. Skips the test where that is not allowed: root may."""
    with_size = ",".join([f"size={MEGABYTES}m", *options])
    command = ["mount", "-t", "tmpfs", "-o", with_size, "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
