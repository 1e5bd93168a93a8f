"""A folder that takes a minute to make, kept in .state for all tests of the same code."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipeline.files import artifacts, atomic, digests

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".state" / "tests"


def files() -> list[str]:
    """The paths of the project's files, below ROOT, that git does not ignore."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def folder(scratch: Path, make: Callable[[Path], None]) -> Path:
    """What `make` has made in the folder `scratch`, if it was not there for the files as they are.

    One process makes it, and others wait. What was made for other files is removed.
    """
    version = digests.of_facts([f"{name} {artifacts.sha256(ROOT / name)}" for name in files()])
    result, moving = FOLDER / version, FOLDER / "moving"
    with atomic.alone(FOLDER):
        if not result.exists():
            for other in FOLDER.iterdir():
                shutil.rmtree(other)
            make(scratch)
            shutil.move(scratch, moving)  # from another disk, files are copied one by one
            moving.rename(result)
    return result
