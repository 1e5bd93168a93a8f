"""A virtual environment for each runtime, made from uv.lock, and one for generating C code.

An environment holds NumPy and the runtime, but no TensorFlow.

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
from pipeline.files import artifacts
from pipeline.process import stage
from serving import runtimes

FOLDER = Path(sys.prefix) / "runtimes"
EMBEDDED = "embedded"  # generates and compiles C, and estimates memory for microcontrollers


def python(group: str) -> Path:
    """The Python of the environment of a runtime or of EMBEDDED, which is made or updated first.

    Raises OSError with uv's reason.
    """
    folder = FOLDER / group
    command = [uv.find_uv_bin(), "sync", "--frozen", "--compile-bytecode", "--only-group", group]
    command += ["--no-install-package", "serving", "--python", sys.executable]
    environment = {**variables(), "UV_PROJECT_ENVIRONMENT": str(folder)}
    if not folder.exists():
        fetched = f"fetching the packages of {group} into {folder}, once"
        print(f"runtimes: {fetched}", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"no environment for {group}: {' '.join(done.stderr.split())[-300:]}")
    return folder / "bin" / "python"


def variables() -> dict[str, str]:
    """Those of uv, which gets its cache in the project if HOME takes none."""
    result = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    home = Path(result.get("HOME", "/"))
    caches = [home / ".cache" / "uv", home / ".cache"]
    folder = next((path for path in caches if path.exists()), home)
    if not os.access(folder, os.W_OK | os.X_OK) and "XDG_CACHE_HOME" not in result:
        result.setdefault("UV_CACHE_DIR", str((artifacts.STATE / "uv").absolute()))
    return result


def packages(group: str) -> Path:
    """The folder of an environment's packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(FOLDER / group)}))


def version(runtime: str) -> str:
    """The version of the runtime in its environment."""
    distributions = importlib.metadata.distributions(
        name=runtimes.DISTRIBUTIONS[runtime], path=[str(packages(runtime))]
    )
    return next(iter(distributions)).version


def main() -> None:
    settings = params.load_or_none()
    if settings is None:
        later = "what it needs is fetched by the first run after it is right"
        print(f"warning: {params.FILE} has a fault, see `edgeproof run`; {later}", file=sys.stderr)
        return
    for group in [*settings.verify.installed, EMBEDDED]:
        print(python(group))


if __name__ == "__main__":
    stage.run(main)
