"""Git: what experiments need of it, as they are commits, and which commit this is."""

from __future__ import annotations

import subprocess


def missing_identity() -> list[str]:
    """The settings of git without which `dvc exp run` refuses to make an experiment."""
    return [name for name in ("user.name", "user.email") if not _output("config", "--get", name)]


def cure(missing: list[str]) -> str:
    """How to set them."""
    return " and ".join(f"`git config {name} ...`" for name in missing)


def commit() -> str:
    """The commit that is checked out; an empty string if there is none, or no git."""
    return _output("rev-parse", "--verify", "--quiet", "HEAD")


def _output(*arguments: str) -> str:
    command = ["git", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:  # a checkout made by another program: DVC reads it itself
        return ""
