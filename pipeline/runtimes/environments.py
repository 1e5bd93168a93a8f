"""Each runtime in an environment of its own, made from uv.lock: numpy and the runtime, no TensorFlow; one for C code.

python -m pipeline.runtimes.environments      makes them all
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import uv

from pipeline.config import params
from pipeline.process import stage
from serving import runtimes

FOLDER = Path(sys.prefix) / "runtimes"
EMBEDDED = "embedded"  # generates and compiles C, and measures for microcontrollers


def python(group: str) -> Path:
    """The interpreter of the environment of a runtime or of EMBEDDED, made or brought up to date first. Raises OSError with uv's reason."""
    folder = FOLDER / group
    command = [uv.find_uv_bin(), "sync", "--frozen", "--compile-bytecode", "--only-group", group]
    command += ["--no-install-package", "serving", "--python", sys.executable]
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"no environment for {group}: {' '.join(done.stderr.split())[-300:]}")
    return folder / "bin" / "python"


def packages(group: str) -> Path:
    """The folder in which the packages of an environment lie."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(FOLDER / group)}))


def version(runtime: str) -> str:
    """The version of the runtime that its environment holds."""
    found = next(
        iter(
            importlib.metadata.distributions(
                name=runtimes.DISTRIBUTIONS[runtime], path=[str(packages(runtime))]
            )
        )
    )
    return found.version


def main() -> None:
    chosen = params.load().verify
    emulated = [runtime for _, runtime in chosen.places]
    for group in dict.fromkeys([*chosen.runtimes, *emulated, EMBEDDED]):
        print(python(group))


if __name__ == "__main__":
    stage.run(main)
