"""A copy of this project with nothing done in it, so that a measurement leaves the user's workspace alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tracked() -> list[str]:
    """The files that git knows, by their paths in the project."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if name != "dvc.lock" and (ROOT / name).is_file()
    ]


def fresh(folder: Path) -> None:
    """Fills `folder`, in a git repository of its own; files that lie there already stay."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def environment() -> dict[str, str]:
    """What a command in the copy runs with: no MLflow server of the user's, and the same data mirror."""
    result = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    mirror = result.get("DATA_MIRROR", "")
    if mirror and not mirror.startswith("http"):
        result["DATA_MIRROR"] = str((ROOT / mirror).resolve())
    return result
