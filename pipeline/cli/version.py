"""`edgeproof --version`."""

from __future__ import annotations

import subprocess
import tomllib

import typer

from pipeline.files.code import ROOT


def show(is_wanted: bool) -> None:
    if is_wanted:
        print(version())
        raise typer.Exit


def version() -> str:
    """The version of this checkout, and its commit if git can tell it.

    `-dirty` follows the commit if files differ from it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = f"{project['name']} {project['version']}"
    if not (ROOT / ".git").exists():  # git would find that of a folder above
        return text
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or a checkout of another user
        return text
    return f"{text}, commit {done.stdout.strip()}"
