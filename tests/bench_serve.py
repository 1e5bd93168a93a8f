"""`make bench-serve`: our server and others with the same ONNX file, in turn, each with wrk at 8 connections; one table.

    python -m tests.bench_serve [--seconds 3] [--rounds 3] [--triton PYTHON] [--mlserver PYTHON]
    python -m tests.bench_serve --endurance 600

One process each, our checks on. The figures are medians of the rounds, each of which asks every server every kind of
request, so that other work on the machine meets all of them alike. Needs wrk, which Debian has: apt-get install wrk.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests.conftest import ROOT
from tests.serving_peers import requests

CONNECTIONS = 8
COLUMNS = ("json", "binary", "binary of 64")


@dataclass
class Running:
    name: str
    kinds: tuple[str, ...]
    process: subprocess.Popen[bytes]
    port: int
    seconds_to_ready: float

    @property
    def processes(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def cpu(self) -> float:
        return sum(times.user + times.system for times in (process.cpu_times() for process in self.processes))

    def megabytes(self) -> float:
        return sum(process.memory_info().rss for process in self.processes) / 1e6


def start(name: str, kinds: tuple[str, ...], *command: str) -> Running:
    """Starts a server and waits until it answers; PORT in the command is a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = time.monotonic()
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() - begin > 60:
                sys.exit(f"error: {name} did not start: {' '.join(command)}")
            time.sleep(0.01)
        else:
            return Running(name, kinds, process, port, time.monotonic() - begin)


def measure(running: Running, script: Path, seconds: int) -> tuple[float, float, float]:
    """Requests a second, the 99th percentile in milliseconds, and CPU microseconds for each request."""
    url = f"http://127.0.0.1:{running.port}/v2/models/mnist-digits/infer"
    before = running.cpu()
    command = ["wrk", "--latency", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = running.cpu() - before
    if "Non-2xx" in text:
        sys.exit(f"error: {running.name} refused {script.stem}:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    count = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit], 1e6 * used / count


def endurance(server: Running, script: Path, seconds: int) -> str:
    """How the memory goes while the server is under load for so long, which is looked at ten times."""
    measure(server, script, 10)  # by then all that is made once has been made
    memory, answered = [server.megabytes()], 0.0
    for _ in range(10):
        answered += measure(server, script, seconds // 10)[0] * (seconds // 10)
        memory.append(server.megabytes())
    course = ", ".join(f"{megabytes:.1f}" for megabytes in memory)
    return f"{server.name}: {answered:,.0f} {script.stem} requests in {seconds} seconds; memory, MB: {course}"


def scripts(folder: Path, images: object) -> dict[str, Path]:
    """wrk's Lua script for each kind of request."""
    paths = {}
    for kind, (headers, body) in requests(images).items():
        name = kind.replace(" ", "-")
        (folder / f"{name}.body").write_bytes(body)
        lines = [f'local file = io.open("{folder / name}.body", "rb")', 'wrk.body = file:read("*a")', "file:close()", 'wrk.method = "POST"']
        lines += [f'wrk.headers["{header}"] = "{value}"' for header, value in headers.items()]
        paths[kind] = folder / f"{name}.lua"
        paths[kind].write_text("\n".join(lines) + "\n")
    return paths


def table(results: dict[tuple[str, str], list[tuple[float, float, float]]], servers: list[Running]) -> str:
    columns = ["server", "ready, s", "JSON, requests/s", "binary, requests/s", "batches of 64, images/s", "p99 JSON, ms", "p99 binary, ms"]
    columns += ["CPU µs a JSON request", "CPU µs a binary request", "memory, MB"]
    lines = [f"| {' | '.join(columns)} |", "|---|" + "---:|" * 9]
    for server in servers:
        found = {kind: [statistics.median(column) for column in zip(*results[server.name, kind], strict=True)] for kind in server.kinds}

        def cell(kind: str, column: int, factor: int = 1, digits: int = 0, found: dict[str, list[float]] = found) -> str:
            return f"{factor * found[kind][column]:,.{digits}f}" if kind in found else ""

        cells = [
            cell("json", 0),
            cell("binary", 0),
            cell("binary of 64", 0, 64),
            cell("json", 1, 1, 1),
            cell("binary", 1, 1, 1),
            cell("json", 2),
            cell("binary", 2),
        ]
        lines.append(f"| {server.name} | {server.seconds_to_ready:.1f} | {' | '.join(cells)} | {server.megabytes():.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench_serve")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triton", metavar="PYTHON", help="of an environment with nvidia-pytriton")
    parser.add_argument("--mlserver", metavar="PYTHON", help="of an environment with mlserver and onnxruntime")
    parser.add_argument("--endurance", type=int, metavar="SECONDS", help="instead: our server under load for so long, and its memory")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed; on Debian: apt-get install wrk")
    archives = list((ROOT / "dist").glob("*.tar.gz"))
    if not archives:
        sys.exit("error: dist/ holds no bundle; `make run` makes one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(archives[0]) as tar:
            tar.extractall(folder, filter="data")
        bundle = next(path for path in folder.iterdir() if path.is_dir())
        onnx = str(bundle / "onnx_float32.onnx")
        with np.load(bundle / "golden.npz") as golden:
            paths = scripts(folder, golden["images"])
        ours = [sys.executable, "-m", "serving", "serve", str(bundle), "--port", "PORT", "--format"]
        peer = [sys.executable, "-m", "tests.serving_peers"]
        if arguments.endurance:
            server = start("ours, onnx_float32", COLUMNS, *ours, "onnx_float32")
            print(endurance(server, paths["json"], arguments.endurance))
            server.process.terminate()
            return
        servers = [
            start("ours, onnx_float32", COLUMNS, *ours, "onnx_float32"),
            start("ours, tflite_float32", COLUMNS, *ours, "tflite_float32", "--runtime", "litert"),
            start("ours, tflite_int8", COLUMNS, *ours, "tflite_int8", "--runtime", "litert"),
            start("bare ASGI", COLUMNS, *peer, "bare", "PORT", onnx),
            start("Starlette", ("json",), *peer, "starlette", "PORT", onnx),
            start("FastAPI", ("json",), *peer, "fastapi", "PORT", onnx),
            start("ours, --plain", COLUMNS, *ours, "onnx_float32", "--plain"),
        ]
        if arguments.triton:
            servers.append(start("Triton, Python backend", COLUMNS, arguments.triton, "tests/serving_peers.py", "triton", "PORT", onnx))
            time.sleep(10)  # it listens before it has loaded the model
        if arguments.mlserver:
            servers.append(start("MLServer", ("json",), arguments.mlserver, "-m", "tests.serving_mlserver", "PORT", onnx))
            time.sleep(5)  # the same
        results = defaultdict(list)
        try:
            for _ in range(arguments.rounds):
                for kind in COLUMNS:
                    for server in servers:
                        if kind in server.kinds:
                            results[server.name, kind].append(measure(server, paths[kind], arguments.seconds))
            print(table(results, servers))
        finally:
            for server in servers:
                server.process.terminate()
                server.process.wait()


if __name__ == "__main__":
    main()
