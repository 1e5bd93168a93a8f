"""DVC as a child process that runs this Python, even if its environment is not activated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DVC = (sys.executable, "-m", "dvc")


def run(*arguments: str, **variables: str) -> int:
    """Runs a DVC command in the foreground, with these environment variables; its exit status."""
    # dvc.yaml says `python`, which must be this one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, **variables}
    with subprocess.Popen([*DVC, *arguments], env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # DVC gets Ctrl-C too, and needs a moment to clean up
            raise
