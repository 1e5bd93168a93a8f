"""This machine: room, memory, the runtimes' environments, git, and the mirror of the data."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.config import params
from pipeline.config.processors import HERE
from pipeline.doctor import Check, Finding
from pipeline.doctor.web import answer
from pipeline.process import git
from pipeline.runtimes import environments

GB = 10**9
# As the README says under "What you need".
FREE_DISK, FREE_MEMORY = 8 * GB, 2 * GB


def checks() -> Iterator[Check]:
    yield Check("disk", disk)
    yield Check("memory", memory)
    yield Check("runtimes", runtimes)
    yield Check("git", author)
    if mirror := os.environ.get("DATA_MIRROR"):
        yield Check("DATA_MIRROR", lambda: data_mirror(mirror))


def disk() -> Finding:
    free = shutil.disk_usage(".").free
    fact = f"{free / GB:,.1f} GB free here"
    if free < FREE_DISK:
        return Finding("disk", f"{fact}; a first run needs up to {FREE_DISK / GB:.0f}", "note")
    return Finding("disk", fact)


def memory() -> Finding:
    free = psutil.virtual_memory().available
    fact = f"{free / GB:,.1f} GB free, {os.cpu_count()} cores"
    if free < FREE_MEMORY:
        return Finding("memory", f"{fact}; a run needs {FREE_MEMORY / GB:.0f} GB", "note")
    return Finding("memory", fact)


def runtimes() -> Finding:
    """Whether each runtime that params.yaml names has its environment, and which version."""
    settings = params.load()
    names = settings.verify.installed
    there = [name for name in names if (environments.FOLDER / name / "bin/python").exists()]
    if missing := [name for name in names if name not in there]:
        return Finding(
            "runtimes", f"no environment for {', '.join(missing)}; `make env` makes it", "note"
        )
    versions = [f"{name} {environments.version(name)}" for name in there]
    versions += [f"no {name}, which has no wheel for {HERE}" for name in settings.verify.lacking]
    python = ".".join(map(str, sys.version_info[:3]))
    return Finding("runtimes", f"{', '.join(versions)}, on Python {python}")


def author() -> Finding:
    """Whether git knows who makes a commit."""
    if missing := git.missing_identity():
        return Finding("git", f"`dvc exp run` makes commits: set {git.cure(missing)} first", "note")
    return Finding("git", "knows who makes the commits of `dvc exp run`")


def data_mirror(mirror: str) -> Finding:
    """Whether the mirror of DATA_MIRROR, a folder or an address, is there."""
    subject = "DATA_MIRROR"
    if "://" in mirror:
        response = answer(subject, mirror)
        return Finding(subject, f"{mirror} answers with status {response.status_code}")
    if not Path(mirror).is_dir():
        return Finding(subject, f"{mirror} is not a folder; name one, or unset it", "fault")
    return Finding(subject, f"{mirror} is a folder of {len([*Path(mirror).iterdir()]):,} entries")
