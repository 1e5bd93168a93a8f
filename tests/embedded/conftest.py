"""Shared by these tests: the model of this working tree, tools for other processors, Chromium.

`make run` creates the model.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from pipeline.embedded import browser as target
from pipeline.files import artifacts
from pipeline.files.artifacts import Array
from pipeline.runtimes import environments
from pipeline.runtimes.process import Answer, Interpreter, RuntimeProcess, Task
from tests.conftest import ROOT
from tests.server import Server
from tests.waiting import SECONDS
from tests.web import Quiet, served

PACKAGES = ("axe-core@4.14.1", "onnxruntime-web@1.30.0")
PAGE = "embedded/browser/"
MICRO = ("--format", "tflite_int8", "--runtime", "tflite_micro", "--plain")
expect.set_options(timeout=1000 * SECONDS)
DESKTOP = {"viewport": {"width": 1100, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all of them, so that `make test` skips them and `make test-embedded` runs them."""
    for item in items:
        if "tests/embedded/" in item.path.as_posix():
            item.add_marker(pytest.mark.embedded)


@pytest.fixture(scope="session")
def embedded() -> Path:
    folder = ROOT / "embedded"
    assert (folder / "c").is_dir(), f"these tests need {folder / 'c'}; run `make run` first"
    return folder


@pytest.fixture(scope="session")
def images() -> Array:
    """All test images (N, H, W, C) uint8."""
    return np.asarray(np.load(ROOT / artifacts.PREPARED / "test" / "images.npy", mmap_mode="r"))


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Runs a tool that must be installed and must succeed."""
    name = str(command[0])
    assert shutil.which(name), (
        f"{name} is missing: .ci/run lists the Debian packages that these tests need"
    )
    process = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    texts = (stream.decode(errors="replace") for stream in (process.stdout, process.stderr))
    output = "\n".join(text[-2000:] for text in texts)
    assert process.returncode == 0, f"{command}: {output}"
    return process


def predict(name: str, runtime: str, images: Array, folder: Path) -> tuple[Array, Answer]:
    """The probabilities (N, K) of an exported file on a runtime, and the runtime's answer."""
    file = next((ROOT / artifacts.EXPORTED).glob(f"{name}.*"))
    np.save(folder / "images.npy", images)
    python = environments.python(runtime)
    output = folder / runtime
    output.mkdir(exist_ok=True)
    process = RuntimeProcess(
        Interpreter.here(python), runtime, Task([file], [folder / "images.npy"], output)
    )
    answer = process.answer()
    process.close()
    assert answer.reason is None, answer
    return np.load(output / f"{file.stem}.npy"), answer


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium")
    assert path, "Chromium is not installed; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


class Tab:
    """A page in its own window, the addresses that it requests and the errors that it reports."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.page = chromium.new_context(**options).new_page()
        self.page.set_default_timeout(1000 * SECONDS)
        self.addresses: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.faults.append(message.text) if message.type == "error" else None,
        )

    def open(self, address: str) -> Any:
        """Opens the page and waits until it has started."""
        self.page.goto(address)
        self.page.wait_for_selector("#main:not([hidden])")
        return self.page


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    opened = Tab(chromium, **DESKTOP)
    yield opened
    opened.page.context.close()


@pytest.fixture(scope="session")
def archive() -> Path:
    """The bundle of this working tree, as `make run` left it."""
    archives = sorted((ROOT / "dist").glob("*.tar.gz"))
    assert archives, "there is no bundle to show: run `make run` first"
    return archives[0]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the npm packages, beside the environments of the runtimes; fetched once."""
    folder = target.ENVIRONMENT.parent / "npm"
    if not (folder / "node_modules/.package-lock.json").exists():  # which npm writes last
        shutil.rmtree(folder, ignore_errors=True)
        npm = target.node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        options = ("--silent", "--prefix", folder)
        command: list[str | Path] = [target.node(), npm, "install", *options, *PACKAGES]
        process = subprocess.run(command, check=False, capture_output=True, text=True)
        assert not process.returncode, f"npm could not fetch {PACKAGES}: {process.stderr}"
    return folder / "node_modules"


@pytest.fixture(scope="module")
def server(archive: Path, packages: Path) -> Iterator[Server]:
    """It answers with the kernels that the page's C is equal to, byte for byte."""
    engine = ("--onnxruntime-web", packages / "onnxruntime-web")
    with Server(archive, *MICRO, *engine, python=environments.python("tflite_micro")) as running:
        yield running


@pytest.fixture
def page(tab: Tab, server: Server) -> Any:
    return tab.open(f"http://{server.url}/")


class StaticFiles(Quiet, http.server.SimpleHTTPRequestHandler):
    pass


@contextlib.contextmanager
def static_host(folder: Path) -> Iterator[str]:
    """The address of a static web server, here Python's, with an unpacked bundle."""
    with served(functools.partial(StaticFiles, directory=folder)) as address:
        yield f"{address}/{PAGE}"


@pytest.fixture
def host(bundle: Path) -> Iterator[str]:
    with static_host(bundle) as address:
        yield address
