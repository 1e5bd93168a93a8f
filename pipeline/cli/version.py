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
    """The version of this checkout, and its commit; `-dirty` if files differ from the commit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = f"{project['name']} {project['version']}"
    if not (ROOT / ".git").exists():
        return text
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    return f"{text}, commit {commit}"
