"""The server under attack: on uvloop, and on the standard library without any package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import FORMAT, Server
from tests.triton_requests import INFER, json_body
from tests.waiting import wait_for

MEGABYTES = 74  # the most memory that an attack may add


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def python(request: pytest.FixtureRequest) -> Path:
    """Of this environment, and of one with only numpy and a runtime, without uvloop."""
    if request.param == "uvloop":
        return Path(sys.executable)
    return Path(sys.prefix) / "runtimes/onnxruntime/bin/python"


@pytest.fixture(scope="module")
def server(archive: Path, python: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, python=python) as running:
        yield running
        assert running.process.poll() is None, "the server died"
        status, errors = running.stop()
        assert status == 0
        assert "Traceback" not in errors
        assert "error" not in errors


@pytest.fixture(scope="module")
def most_megabytes(server: Server) -> float:
    return server.megabytes + MEGABYTES


@pytest.fixture(autouse=True)
def serves_after_every_attack(server: Server, most_megabytes: float) -> Iterator[None]:
    yield
    assert server.ask("POST", INFER, json_body()).status == 200
    wait_for(lambda: server.megabytes < most_megabytes)


def http(path: str, headers: dict[str, str], body: bytes, method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
