"""A server process of the tests: `python -m serving serve` on a free port of the loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from serving.checksums import MANIFEST, manifest
from tests.conftest import ROOT

FORMAT = "onnx_float32"

Headers = dict[str, str]


class Answer:
    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Started at once, ready when the constructor returns; `with` stops it."""

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
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.first_line)
        assert found, (
            f"{self.first_line}{self.process.stderr.read().decode() if self.process.stderr else ''}"
        )
        self.port = int(found[1])
        while self.refuses():
            time.sleep(0.01)
        self.seconds_to_ready = time.monotonic() - self.start

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def refuses(self) -> bool:
        try:
            return self.get("/v2/health/ready").status != 200
        except ConnectionError:
            assert self.process.poll() is None
            return True

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def megabytes(self) -> float:
        """Of resident memory, children included."""
        process = psutil.Process(self.process.pid)
        return (
            sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
            / 1e6
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Headers | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def send(self, data: bytes, seconds: float = 5) -> bytes:
        """What comes back for raw bytes until the server closes, or nothing comes for so long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            received = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:  # the server has closed already, and may have said why
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
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors.decode()


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def failed(*arguments: str | Path, python: str | Path = sys.executable) -> str:
    """The sentence with which a server that must not start ends."""
    command = [str(python), "-m", "serving", "serve", *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def rename(folder: Path, name: str, version: str | None = None) -> Path:
    """Changes the name, and the version, on the card of an unpacked bundle, and renews its checksums."""
    card = json.loads((folder / "model_card.json").read_text())
    changed = {**card, "name": name, "version": version or card["version"]}
    (folder / "model_card.json").write_text(json.dumps(changed))
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    (folder / MANIFEST).write_bytes(manifest(files))
    return folder
