"""Waiting for a state, and holding a program at one, so that no test depends on the clock."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

# Long, since a test ends as soon as the state is there. Only a fault takes this long.
SECONDS = 300

# Python imports a module of this name when it starts. A hook runs before what it is told of.
SITECUSTOMIZE = """
import fnmatch
import os
import sys
import time

folder, pattern, times = os.environ.get("HOLD", "::0").split(":")
left = int(times)


def hold(event, arguments):
    global left
    # The pipeline writes a file under another name, and renames it when it is complete.
    if event != "os.rename":
        return
    path = os.path.abspath(os.fsdecode(arguments[1]))
    if not fnmatch.fnmatchcase(path, pattern):
        return
    left -= 1
    if left == 0:
        open(os.path.join(folder, f"{os.getpid()}.held"), "w").close()
        while not os.path.exists(os.path.join(folder, "released")):
            time.sleep(0.02)


if left:
    sys.addaudithook(hold)
"""


def wait_for(
    condition: Callable[[], object],
    process: subprocess.Popen[bytes] | None = None,
    every: float = 0.05,
) -> None:
    """Returns when the condition is true. Fails if the process that brings it about has ended."""
    end = time.monotonic() + SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            assert condition(), f"exit status {process.returncode} before it happened"
        assert time.monotonic() < end, f"it did not happen within {SECONDS} seconds"
        time.sleep(every)


class Hold:
    """Holds each Python process of a program just before it writes a file for the n-th time.

    It is held in a loop that signals interrupt, as they do at any other line of Python.
    """

    def __init__(self, folder: Path, pattern: str, times: int = 1) -> None:
        """`pattern` is that of the file's absolute path; `folder` is made, to work in."""
        self.folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.environment = {"PYTHONPATH": str(folder), "HOLD": f"{folder}:{pattern}:{times}"}

    def held(self, parent: int | None = None) -> list[int]:
        """The living processes that are held, or those of them that are children of `parent`."""
        parents = {}
        for path in self.folder.glob("*.held"):
            with suppress(psutil.NoSuchProcess):
                parents[int(path.stem)] = psutil.Process(int(path.stem)).ppid()
        return [number for number in parents if parent in (None, parents[number])]

    def wait(self, process: subprocess.Popen[bytes], count: int = 1) -> None:
        """Waits until `count` processes are held."""
        wait_for(lambda: len(self.held()) >= count, process)

    def release(self) -> None:
        (self.folder / "released").touch()
