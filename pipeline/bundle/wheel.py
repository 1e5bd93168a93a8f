"""The device's package as a wheel, and the packages that it needs, with their hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import uv

from pipeline.files import artifacts
from pipeline.process.errors import UserError
from pipeline.runtimes import environments

SERVING = Path("serving")
# A lock for every Python that devices have; the project's own lock is for one Python only.
DEVICES = Path("pipeline/bundle/requirements")
WHEELS = "wheels"
ARMV7 = (
    "# beside python3-numpy and python3-pil of Debian 12, "
    "as the package index has neither for armv7\n"
)
WHEEL_TIME = 315532800  # 1980-01-01, the earliest time that a zip entry can have


def requirements(group: str, *left_out: str) -> str:
    """The packages of a dependency group with their hashes, for each Python of the devices."""
    command = [uv.find_uv_bin(), "export", "--frozen", "--quiet", "--no-header"]
    command += ["--project", str(DEVICES), "--only-group", group]
    for name in ("serving", *left_out):
        command += ["--no-emit-package", name]
    done = subprocess.run(
        command, env=environments.variables(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"the requirements of {group} could not be read from {DEVICES}/uv.lock: "
            f"{' '.join(done.stderr.split())}"
        )
    return done.stdout


def build(folder: Path) -> Path:
    """Builds the wheel of `serving`.

    hatchling gives every entry the time SOURCE_DATE_EPOCH, so equal sources give equal bytes.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    command += ["--directory", str(folder.absolute())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(WHEEL_TIME)}
    done = subprocess.run(
        command, cwd=SERVING, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"the wheel of {SERVING} could not be built: {' '.join(done.stderr.split())[-300:]}"
        )
    return next(folder.glob("*.whl"))


def write_requirements(folder: Path, wheel: Path, runtime_names: set[str]) -> None:
    """Writes pip's requirements of each runtime that proved a file, and of the optional parts."""
    own = f"./{WHEELS}/{wheel.name} --hash=sha256:{artifacts.sha256(wheel)}\n"
    contents = {runtime: requirements(runtime) + own for runtime in runtime_names}
    if "tflite_runtime" in runtime_names:
        contents["tflite_runtime_armv7"] = (
            ARMV7 + requirements("tflite_runtime", "numpy", "pillow") + own
        )
    for part in ("http", "grpc", "certificates"):
        contents[part] = requirements(part, "numpy", "pillow")
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.txt").write_text(content, encoding="utf-8")
