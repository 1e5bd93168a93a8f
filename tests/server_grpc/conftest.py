"""A server that speaks gRPC beside HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import FORMAT, Server


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, "--grpc-port", "0") as running:
        yield running
        assert running.process.poll() is None
        assert running.stop() == (0, "")
