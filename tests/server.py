"""Starts `python -m serving serve` on a free port of the loopback, and sends it requests."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.acceptance_sets import rewrite
from tests.conftest import ROOT
from tests.waiting import SECONDS, wait_for

FORMAT = "onnx_float32"

Headers = dict[str, str]


class Response:
    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Ready when the constructor returns; `with` kills it."""

    def __init__(
        self, *arguments: str | Path, python: str | Path = sys.executable, port: int = 0
    ) -> None:
        command = [str(python), "-m", "serving", "serve", *map(str, arguments), "--port", str(port)]
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline().decode()
        address = re.search(r"http://127\.0\.0\.1:(\d+)", self.first_line)
        assert address, self.first_line + self._errors()
        self.port = int(address[1])
        of_grpc = re.search(r"for gRPC, ([\d.:]+)", self.first_line)
        self.grpc = of_grpc[1] if of_grpc else ""
        wait_for(self.is_ready, every=0.01)
        self.seconds_to_ready = min(time.monotonic() - self.start, self._processor_seconds())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        children = self._children()
        self.process.kill()
        for child in children:  # one that is stopped would keep the output open
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.communicate()

    def is_ready(self) -> bool:
        try:
            return self.get("/v2/health/ready").status == 200
        except ConnectionError:
            assert self.process.poll() is None
            return False

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:  # it has ended
            return []

    def _processor_seconds(self) -> float:
        """What it has used, with its child processes: on a busy machine less than has passed."""
        server = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
        return sum(used.user + used.system for used in times)

    def _errors(self) -> str:
        return self.process.stderr.read().decode() if self.process.stderr else ""

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def megabytes(self) -> float:
        """Resident memory, with that of its child processes."""
        server = psutil.Process(self.process.pid)
        processes = [server, *server.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / 1e6

    @property
    def peak_megabytes(self) -> float:
        """The most resident memory so far, without that of its child processes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6  # the kernel counts in KiB

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Headers | None = None
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Response:
        return self.ask("GET", path)

    def send(self, data: bytes) -> bytes:
        """The response to raw bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            received = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:  # the server has closed already, perhaps with a response
                pass
            try:
                while part := connection.recv(65536):
                    received += part
            except OSError:
                pass
            return received

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> tuple[int, str]:
        """Exit status and stderr after SIGTERM."""
        self.signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.decode()


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT) as running:
        yield running


@pytest.fixture(scope="module")
def bare_server(archive: Path) -> Iterator[Server]:
    """On the standard library's event loop, in an environment of numpy and one runtime."""
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    with Server(archive, "--format", FORMAT, python=python) as running:
        yield running


@pytest.fixture(params=["server", "bare_server"])
def each_server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def failed(*arguments: str | Path, python: str | Path = sys.executable) -> str:
    """The one-line error of a server that must refuse to start."""
    command = [str(python), "-m", "serving", "serve", *map(str, arguments)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env=environment(),
    )
    assert result.returncode == 1, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def png(pixels: Any, file_format: str = "PNG") -> bytes:
    """An image (H, W), (H, W, 1) or (1, H, W, 1) uint8 as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, file_format)
    return file.getvalue()


def check_openapi(server: Server, folder: Path, *options: str) -> str:
    """Has schemathesis check the server against its own description; returns the report.

    One check is left out, that everything which fits the schema is accepted: JSON Schema cannot
    tie the length of data to a shape.
    """
    command = [f"{sys.prefix}/bin/schemathesis", "run", f"http://{server.url}/openapi.json"]
    command += ["--no-color", "--exclude-checks", "positive_data_acceptance"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "7"]
    command += ["--generation-database", "none", *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-5000:]
    return result.stdout


def answer_on_page(server: Server, chromium: Any, picture: Path) -> str:
    """What the server's own page says of a picture."""
    page = chromium.new_page()
    page.goto(f"http://{server.url}/docs")
    page.set_input_files("#picture", str(picture))
    page.wait_for_function("document.getElementById('answer').textContent !== ''")
    return str(page.text_content("#answer"))


def statuses(received: bytes) -> list[int]:
    """The statuses of all responses in the bytes of a connection."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def rename(folder: Path, name: str, version: str | None = None) -> Path:
    """Changes the name and version on the card of an unpacked bundle, and updates its checksums."""
    card = json.loads((folder / "model_card.json").read_text())
    changed = {**card, "name": name, "version": version or card["version"]}
    return rewrite(folder, model_card__json=json.dumps(changed).encode())
