"""A cache of measured times, outside DVC's outputs, so that a forced run writes the same bytes.

Timings are not reproducible, so each is measured once and cached under a key that says what was
measured. Delete .state/measurements to measure again.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from pipeline.files import artifacts, digests

FOLDER = artifacts.STATE / "measurements"


def recall(key: str) -> Any | None:
    """The value cached under `key` for this processor, or None."""
    path = _path(key)
    return artifacts.load_json(path) if path.exists() else None


def remember(key: str, value: Any) -> Any:
    """The value first cached under `key`; caches `value` if there is none.

    A cached list of another length is replaced: it is of a training that ran for other epochs.
    """
    cached = recall(key)
    if cached is not None and (not isinstance(cached, list) or len(cached) == len(value)):
        return cached
    artifacts.save_json(_path(key), value)
    return value


def _path(key: str) -> Path:
    return FOLDER / f"{key}-{digests.of_facts([processor()])}.json"


def processor() -> str:
    """The processor's name as the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
