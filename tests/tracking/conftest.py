"""MLflow servers, and what their stores hold."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import Project
from tests.waiting import wait_for

SECONDS_TO_STOP = 10  # after which a server is killed


def client(project: Project, uri: str | None = None) -> Any:
    import mlflow

    return mlflow.MlflowClient(
        uri or f"sqlite:///{project.folder / 'mlflow.db'}",
        registry_uri=uri or f"sqlite:///{project.folder / 'mlflow.db'}",
    )


def runs(store: Any, name: str = "mnist-digits") -> list[Any]:
    experiment = store.get_experiment_by_name(name)
    return list(store.search_runs([experiment.experiment_id])) if experiment else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_up(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except OSError:  # URLError is one
        return False
    return True


@contextmanager
def server(
    project: Project, *command: str, port: int, health: str
) -> Iterator[subprocess.Popen[bytes]]:
    # Jobs would run in processes of their own, each of which imports MLflow.
    alone = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = project.start(*command, "--host", "127.0.0.1", "--port", str(port), **alone)
    try:
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}{health}"), process)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
