"""A server that logs its predictions, and what its log holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import FORMAT, Response, Server, png
from tests.triton_requests import image


def rows(path: Path, column: str = "*") -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {column} FROM predictions ORDER BY number").fetchall()
    finally:
        connection.close()


def predict(server: Server) -> Any:
    """The response to one picture."""
    response = server.ask("POST", "/predict", png(image(1)))
    assert response.status == 200, response.body
    return response.json


def send_label(server: Server, id_: str, label: str) -> Response:
    return server.ask("POST", "/feedback", json.dumps({"id": id_, "label": label}).encode())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "field.sqlite"


@pytest.fixture
def server(archive: Path, path: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, "--log", path) as running:
        yield running
