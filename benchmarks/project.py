"""What measurements share: a fresh copy of this project, so that they do not touch the user's
workspace, and an end that leaves nothing running.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tracked() -> list[str]:
    """The files that git tracks, by their paths in the project, without dvc.lock."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()
    return [name for name in names if name != "dvc.lock" and (ROOT / name).is_file()]


def fresh(folder: Path) -> None:
    """Copies the project into `folder`, as a git repository; other files there stay."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def environment() -> dict[str, str]:
    """The environment of a command in the copy: the same data mirror, but not the MLflow server."""
    result = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    mirror = result.get("DATA_MIRROR", "")
    if mirror and not mirror.startswith("http"):
        result["DATA_MIRROR"] = str((ROOT / mirror).resolve())
    return result


def end_servers_on_sigterm() -> None:
    """SIGTERM ends this program as Ctrl-C does; otherwise the servers that it started go on."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
