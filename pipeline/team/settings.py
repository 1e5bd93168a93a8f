"""The ports and the secrets of a team's servers, made at the first start and kept."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from pipeline.process.errors import UserError
from pipeline.team.server import HOST

FOLDER = Path(".team")
# Below those that Linux gives to outgoing connections, from 32,768 on.
FIRST_PORT, LAST_PORT = 20_000, 30_000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ports(Strict):
    postgresql: int
    mlflow: int
    dask: int
    s3: int
    s3_grpc: int
    filer: int
    filer_grpc: int
    volume: int
    volume_grpc: int
    master: int
    master_grpc: int


class Secrets(Strict):
    postgresql: str
    mlflow: str
    session: str  # with which MLflow signs its cookies
    s3: str
    seaweedfs: str  # with which the parts of SeaweedFS sign what they ask each other


class Settings(Strict):
    ports: Ports
    secrets: Secrets


def load(folder: Path) -> Settings:
    """The settings in a folder, made if it has none. Raises UserError."""
    path = folder / "settings.json"
    if not path.exists():
        _make(folder, path)
    try:
        return Settings.model_validate_json(path.read_bytes())
    except ValueError:  # pydantic's errors, too
        raise UserError(
            f"{path} is damaged; restore it from a backup, since the data in {folder} cannot be "
            "used without its passwords"
        ) from None


def _make(folder: Path, path: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise UserError(
            f"{path} is missing, but {folder} is not empty; restore the file from a backup, or "
            "move the folder away to begin with empty servers"
        )
    folder.mkdir(mode=0o711, exist_ok=True)  # others, such as PostgreSQL's user, pass through it
    ports = dict(zip(Ports.model_fields, free_ports(len(Ports.model_fields)), strict=True))
    words = {name: secrets.token_urlsafe(24) for name in Secrets.model_fields}
    write_secret(path, json.dumps({"ports": ports, "secrets": words}, indent=2) + "\n")


def write_secret(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    new.replace(path)


def free_ports(count: int) -> list[int]:
    """Different ports of loopback, free now. They are chosen by chance, since another team's
    servers on this host may be down at the moment."""
    candidates = list(range(FIRST_PORT, LAST_PORT))
    secrets.SystemRandom().shuffle(candidates)
    free = filter(is_free, candidates)
    return [next(free) for _ in range(count)]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def check_ports(ports: Ports, folder: Path) -> None:
    """Raises UserError if another process has one of the ports."""
    for name, port in ports.model_dump().items():
        if not is_free(port):
            raise UserError(
                f"port {port}, which {folder / 'settings.json'} has for {name}, is taken"
                f"{_by(port)}; end that program if an earlier `make team` started it, or else put "
                "another port there"
            )


def _by(port: int) -> str:
    """Who listens at a port, if this user may know."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" by process {connection.pid} ({name})"
    return ""
