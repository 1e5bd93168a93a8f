"""Measured times, taken once and remembered outside the outs, so that a forced run writes the same bytes.

A time is no function of deps and params: measured again it is another one. Each is kept under what it was measured on.
Delete .state/measurements to measure anew.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from pipeline.files import artifacts, digests

FOLDER = artifacts.STATE / "measurements"


def recall(key: str) -> Any | None:
    """What was measured under `key` on this processor, or None."""
    path = _path(key)
    return artifacts.load_json(path) if path.exists() else None


def remember(key: str, measured: Any) -> Any:
    """What was first measured under `key`, which is `measured` where nothing was."""
    known = recall(key)
    if known is not None and (not isinstance(known, list) or len(known) == len(measured)):
        return known
    artifacts.save_json(_path(key), measured)
    return measured


def _path(key: str) -> Path:
    return FOLDER / f"{key}-{digests.of_facts([processor()])}.json"


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
