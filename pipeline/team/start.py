"""Starts the servers of a team, says how to use them, and keeps them running until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipeline.doctor import Check, findings
from pipeline.process.errors import UserError
from pipeline.team import dask, mlflow, postgresql, seaweedfs, settings
from pipeline.team.server import PAUSE, Server, running
from pipeline.team.settings import Settings

USE = """
In each shell that uses them, for their addresses and passwords:
    source {environment}
Once in each clone:
    dvc remote add --default team s3://dvc/store
    dvc remote modify team endpointurl {s3}
To see what can be reached, and to share the trials of a sweep:
    edgeproof doctor --storage {storage}
    edgeproof sweep train.epochs=1,5,10 --sampler grid --storage {storage}
"""
CLUSTER = """To train on workers, each started in a checkout of its own at the same commit:
    dask worker {cluster} --protocol tls --host 127.0.0.1 \\
        --dashboard-address 127.0.0.1:0 --nthreads 1 --no-nanny
    edgeproof folds --cluster {cluster}
"""
# Makes the doctor's checks of all servers, given a storage and a cluster
Checks = Callable[[str | None, str | None], Iterable[Check]]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ATTEMPTS = 3  # to start a server again; PostgreSQL waits for the last of its killed processes


def team(checks: Checks, folder: Path = settings.FOLDER) -> None:
    """Returns after Ctrl-C. Raises UserError if a server cannot be started."""
    for number in ENDING:
        signal.signal(number, _interrupt)
    configuration = settings.load(folder)
    settings.check_ports(configuration.ports, folder)
    with ExitStack() as stack:
        started: list[Server] = []
        try:
            for make in _makers():
                server = make(folder, configuration)
                print(f"{server.name} is starting", flush=True)
                started.append(stack.enter_context(running(server)))
                print(f"{server.name} is ready at {server.address}", flush=True)
            _explain(folder, configuration, checks)
            _watch(started)
        except KeyboardInterrupt:
            print("ending the servers", flush=True)
    print(f"The servers have ended; their data are in {folder}.")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Begins the end, which another signal does not disturb."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _makers() -> Iterator[Callable[[Path, Settings], Server]]:
    """Each server after those that it needs. Only then can it be made."""
    yield from (postgresql.server, seaweedfs.server, mlflow.server)
    if dask.is_installed():
        yield dask.server


def variables(folder: Path, configuration: Settings) -> dict[str, str]:
    """The environment of everyone who uses the servers."""
    environment = {**mlflow.variables(configuration), **seaweedfs.variables(configuration)}
    environment["PGPASSWORD"] = configuration.secrets.postgresql
    return {**environment, **(dask.variables(folder) if dask.is_installed() else {})}


def _explain(folder: Path, configuration: Settings, checks: Checks) -> None:
    """How the servers are used, and what `edgeproof doctor` says of them."""
    environment, names = folder / "environment", variables(folder, configuration)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in names.items()]
    settings.write_secret(environment, "".join(lines))
    storage = postgresql.address(configuration, "studies")
    cluster = dask.address(configuration) if dask.is_installed() else None
    print(USE.format(environment=environment, s3=seaweedfs.address(configuration), storage=storage))
    if cluster:
        print(CLUSTER.format(cluster=cluster))
    os.environ.update(names)
    for finding in findings(checks(storage, cluster)):
        print(finding)
    print("\nCtrl-C ends them; the same command starts them again on the same data.", flush=True)


def _watch(started: list[Server]) -> NoReturn:
    """Starts again what ends. Raises UserError if it cannot be started any more."""
    while True:
        for server in started:
            if server.ended:
                print(f"{server.name} has ended, see {server.log}; starting it again", flush=True)
                _start_again(server)
                print(f"{server.name} is ready again", flush=True)
        time.sleep(PAUSE)


def _start_again(server: Server) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        server.end()  # what is left of its process group
        try:
            return server.start()
        except UserError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt)
    return None
