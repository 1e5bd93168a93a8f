"""What these tests share: the model of this working tree, as `make run` left it, and the tools of other processors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import artifacts, environments
from pipeline.artifacts import Array
from pipeline.runtime_process import RuntimeProcess
from tests.conftest import ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are slow, and `make test` leaves them to `make test-embedded`."""
    for item in items:
        if "tests/embedded/" in item.path.as_posix():
            item.add_marker(pytest.mark.embedded)


@pytest.fixture(scope="session")
def embedded() -> Path:
    folder = ROOT / "embedded"
    assert (folder / "c").is_dir(), "there is no model to try: run `make run` first"
    return folder


@pytest.fixture(scope="session")
def images() -> Array:
    """All test images (N, H, W, C) uint8."""
    return np.asarray(np.load(ROOT / artifacts.PREPARED / "test" / "images.npy", mmap_mode="r"))


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Runs a tool that must be there and must succeed."""
    name = str(command[0])
    assert shutil.which(name), f"{name} is missing: .ci/run tells which packages of Debian these tests need"
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout.decode()[-2000:]}\n{done.stderr.decode()[-2000:]}"
    return done


def answers(name: str, runtime: str, images: Array, folder: Path) -> tuple[Array, dict[str, Any]]:
    """The probabilities (N, K) of an exported file on a runtime, and what the runtime tells of itself."""
    file = next((ROOT / artifacts.EXPORTED).glob(f"{name}.*"))
    np.save(folder / "images.npy", images)
    python = environments.python(runtime)
    process = RuntimeProcess(python, runtime, file, folder / "images.npy", "--probabilities", folder / f"{runtime}.npy")
    answer = process.answer()
    process.close()
    assert not isinstance(answer, str), answer
    return np.load(folder / f"{runtime}.npy"), answer
