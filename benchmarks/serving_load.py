"""A server that a benchmark starts, and the load that wrk puts on it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.project import ROOT

CONNECTIONS = 8


@dataclass(frozen=True)
class LoadRequest:
    """A request, and wrk's script for it."""

    path: str
    headers: dict[str, str]
    body: bytes
    script: Path


@dataclass
class RunningServer:
    name: str
    requests: dict[str, LoadRequest]  # by kind
    process: subprocess.Popen[bytes]
    port: int
    seconds_to_ready: float = 0.0

    @property
    def processes(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def cpu(self) -> float:
        """The CPU seconds that the server has used so far."""
        times = [process.cpu_times() for process in self.processes]
        return sum(each.user + each.system for each in times)

    def megabytes(self) -> float:
        return sum(process.memory_info().rss for process in self.processes) / 1e6

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.requests[kind].path}"

    def answers(self) -> bool:
        """Whether the server answers a request as JSON."""
        request = self.requests["json"]
        http_request = urllib.request.Request(self.url("json"), request.body, request.headers)
        try:
            with urllib.request.urlopen(http_request, timeout=1):
                return True
        except OSError:
            return False

    def end(self) -> None:
        for process in reversed(self.processes):  # a parent may not pass the signal on
            process.terminate()
        self.process.wait()


def start(
    name: str, requests: dict[str, LoadRequest], *command: str, **environment: str
) -> RunningServer:
    """Starts a server and waits until it answers; PORT in the command becomes a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = time.monotonic()
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    server = RunningServer(name, requests, process, port)
    while not server.answers():
        if process.poll() is not None or time.monotonic() - begin > 60:
            sys.exit(f"error: {name} did not start: {' '.join(command)}")
        time.sleep(0.01)
    server.seconds_to_ready = time.monotonic() - begin
    return server


def measure(server: RunningServer, kind: str, seconds: int) -> tuple[float, float, float]:
    """Requests per second, 99th percentile latency in ms, and CPU microseconds per request."""
    command = ["wrk", "--latency", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}"]
    command += ["-s", str(server.requests[kind].script), server.url(kind)]
    before = server.cpu()
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu() - before
    if "Non-2xx" in text:
        sys.exit(f"error: {server.name} refused {kind}:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    count = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit], 1e6 * used / count


def load_request(
    folder: Path, name: str, path: str, headers: dict[str, str], body: bytes
) -> LoadRequest:
    """A request, with wrk's script for it written into `folder`."""
    (folder / f"{name}.body").write_bytes(body)
    lines = [
        f'local file = io.open("{folder / name}.body", "rb")',
        'wrk.body = file:read("*a")',
        "file:close()",
        'wrk.method = "POST"',
    ]
    lines += [f'wrk.headers["{header}"] = "{value}"' for header, value in headers.items()]
    script = folder / f"{name}.lua"
    script.write_text("\n".join(lines) + "\n")
    return LoadRequest(path, headers, body, script)
