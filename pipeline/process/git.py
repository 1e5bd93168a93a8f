"""What experiments need of git: they are commits."""

from __future__ import annotations

import subprocess


def missing_identity() -> list[str]:
    """The settings of git without which `dvc exp run` refuses to make an experiment."""
    return [name for name in ("user.name", "user.email") if not _setting(name)]


def cure(missing: list[str]) -> str:
    """How to set them."""
    return " and ".join(f"`git config {name} ...`" for name in missing)


def _setting(name: str) -> str:
    command = ["git", "config", "--get", name]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:  # DVC says that itself
        return ""
