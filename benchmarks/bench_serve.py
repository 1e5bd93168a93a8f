"""`make bench-serve`: our server and others with the same ONNX file, in turn, each with wrk at 8 connections; one table.

    python -m benchmarks.bench_serve [--seconds 3] [--rounds 3] [--triton PYTHON] [--mlserver PYTHON] [--kserve PYTHON] [--bentoml PYTHON]
    python -m benchmarks.bench_serve --endurance 600

One process each, our checks on. The figures are medians of the rounds, each of which asks every server every kind of
request, so that other work on the machine meets all of them alike. Needs wrk, which Debian has: apt-get install wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.project import ROOT
from benchmarks.serving_peers import requests

CONNECTIONS = 8
COLUMNS = ("json", "binary", "binary of 64")
Results = dict[tuple[str, str], list[tuple[float, float, float]]]  # by server and kind of request


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    script: Path  # for wrk


@dataclass
class Running:
    name: str
    requests: dict[str, Request]  # by their kind
    process: subprocess.Popen[bytes]
    port: int
    seconds_to_ready: float = 0.0

    @property
    def processes(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def cpu(self) -> float:
        return sum(
            times.user + times.system
            for times in (process.cpu_times() for process in self.processes)
        )

    def megabytes(self) -> float:
        return sum(process.memory_info().rss for process in self.processes) / 1e6

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.requests[kind].path}"

    def answers(self) -> bool:
        """One request as JSON."""
        asked = self.requests["json"]
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url("json"), asked.body, asked.headers), timeout=1
            ):
                return True
        except OSError:
            return False

    def end(self) -> None:
        for process in reversed(self.processes):  # a parent may not pass it on
            process.terminate()
        self.process.wait()


def start(name: str, requests: dict[str, Request], *command: str, **environment: str) -> Running:
    """Starts a server and waits until it answers a request; PORT in the command is a free port."""
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
    running = Running(name, requests, process, port)
    while not running.answers():
        if process.poll() is not None or time.monotonic() - begin > 60:
            sys.exit(f"error: {name} did not start: {' '.join(command)}")
        time.sleep(0.01)
    running.seconds_to_ready = time.monotonic() - begin
    return running


def measure(running: Running, kind: str, seconds: int) -> tuple[float, float, float]:
    """Requests a second, the 99th percentile in milliseconds, and CPU microseconds for each request."""
    script = str(running.requests[kind].script)
    before = running.cpu()
    command = [
        "wrk",
        "--latency",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}",
        "-s",
        script,
        running.url(kind),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = running.cpu() - before
    if "Non-2xx" in text:
        sys.exit(f"error: {running.name} refused {kind}:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    count = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit], 1e6 * used / count


def endurance(server: Running, seconds: int) -> str:
    """How the memory goes while the server is under load for so long, which is looked at ten times."""
    measure(server, "json", 10)  # by then all that is made once has been made
    memory, answered = [server.megabytes()], 0.0
    for _ in range(10):
        answered += measure(server, "json", seconds // 10)[0] * (seconds // 10)
        memory.append(server.megabytes())
    course = ", ".join(f"{megabytes:.1f}" for megabytes in memory)
    return (
        f"{server.name}: {answered:,.0f} JSON requests in {seconds} seconds; memory, MB: {course}"
    )


def written(folder: Path, name: str, path: str, headers: dict[str, str], body: bytes) -> Request:
    """A request, with wrk's script in Lua for it."""
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
    return Request(path, headers, body, script)


def mlflow_model(onnx_file: str, folder: Path, images: Any) -> str:
    """The same ONNX file as a model of MLflow."""
    import mlflow
    import onnx

    signature = mlflow.models.infer_signature(images[:1])
    mlflow.onnx.save_model(
        onnx.load(onnx_file),
        folder / "mlflow",
        signature=signature,
        pip_requirements=["onnxruntime"],
    )
    return str(folder / "mlflow")


def servers(
    arguments: argparse.Namespace, bundle: Path, images: Any, folder: Path
) -> Iterator[Running]:
    """Starts one after the other: ours, and the peers for which there is an environment."""
    onnx = str(bundle / "onnx_float32.onnx")
    every = {
        kind: written(
            folder, kind.replace(" ", "-"), "/v2/models/mnist-digits/infer", headers, body
        )
        for kind, (headers, body) in requests(images).items()
    }
    ours = [sys.executable, "-m", "serving", "serve", str(bundle), "--port", "PORT", "--format"]
    yield start("ours, onnx_float32", every, *ours, "onnx_float32")
    if arguments.endurance:
        return
    yield start("ours, tflite_float32", every, *ours, "tflite_float32", "--runtime", "litert")
    yield start("ours, tflite_int8", every, *ours, "tflite_int8", "--runtime", "litert")
    yield start("ours, --plain", every, *ours, "onnx_float32", "--plain")
    json_only = {"json": every["json"]}
    peer = [sys.executable, "-m", "benchmarks.serving_peers"]
    yield start("bare ASGI", every, *peer, "bare", "PORT", onnx)
    yield start("Starlette", json_only, *peer, "starlette", "PORT", onnx)
    yield start("FastAPI", json_only, *peer, "fastapi", "PORT", onnx)
    if arguments.triton:
        yield start(
            "Triton, Python backend",
            every,
            arguments.triton,
            "benchmarks/serving_peers.py",
            "triton",
            "PORT",
            onnx,
        )
    if arguments.mlserver:
        yield start(
            "MLServer",
            json_only,
            arguments.mlserver,
            "-m",
            "benchmarks.serving_mlserver",
            "PORT",
            onnx,
        )
    if arguments.kserve:
        yield start(
            "KServe", json_only, arguments.kserve, "-m", "benchmarks.serving_kserve", "PORT", onnx
        )
    if arguments.bentoml:
        command = [arguments.bentoml, "-m", "bentoml", "serve", "benchmarks.serving_bentoml:Digits"]
        command += ["--host", "127.0.0.1", "--port", "PORT"]
        yield start("BentoML", json_only, *command, MODEL=onnx)
    body = json.dumps({"inputs": images[:1].tolist()}, separators=(",", ":")).encode()
    of_mlflow = {
        "json": written(
            folder, "mlflow", "/invocations", {"Content-Type": "application/json"}, body
        )
    }
    served = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        mlflow_model(onnx, folder, images),
        "--env-manager",
        "local",
    ]
    yield start("mlflow models serve", of_mlflow, *served, "--workers", "1", "--port", "PORT")


def results(running: list[Running], rounds: int, seconds: int) -> Results:
    """Of each server and kind of request, what each round gave."""
    found: Results = defaultdict(list)
    for _ in range(rounds):
        for kind in COLUMNS:
            for server in running:
                if kind in server.requests:
                    found[server.name, kind].append(measure(server, kind, seconds))
    return found


def table(found: Results, running: list[Running]) -> str:
    columns = [
        "server",
        "ready, s",
        "JSON, requests/s",
        "binary, requests/s",
        "batches of 64, images/s",
        "p99 JSON, ms",
        "p99 binary, ms",
    ]
    columns += ["CPU µs a JSON request", "CPU µs a binary request", "memory, MB"]
    lines = [f"| {' | '.join(columns)} |", "|---|" + "---:|" * 9]
    for server in running:
        medians = {
            kind: [
                statistics.median(column) for column in zip(*found[server.name, kind], strict=True)
            ]
            for kind in server.requests
        }

        def cell(
            kind: str,
            column: int,
            factor: int = 1,
            digits: int = 0,
            medians: dict[str, list[float]] = medians,
        ) -> str:
            return f"{factor * medians[kind][column]:,.{digits}f}" if kind in medians else ""

        cells = [
            cell("json", 0),
            cell("binary", 0),
            cell("binary of 64", 0, 64),
            cell("json", 1, 1, 1),
            cell("binary", 1, 1, 1),
            cell("json", 2),
            cell("binary", 2),
        ]
        lines.append(
            f"| {server.name} | {server.seconds_to_ready:.1f} | {' | '.join(cells)} | {server.megabytes():.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_serve")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triton", metavar="PYTHON", help="of an environment with nvidia-pytriton")
    for peer in ("mlserver", "kserve", "bentoml"):
        parser.add_argument(
            f"--{peer}", metavar="PYTHON", help=f"of an environment with {peer} and onnxruntime"
        )
    parser.add_argument(
        "--endurance",
        type=int,
        metavar="SECONDS",
        help="instead: our server under load for so long, and its memory",
    )
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed; on Debian: apt-get install wrk")
    archives = list((ROOT / "dist").glob("*.tar.gz"))
    if not archives:
        sys.exit("error: dist/ holds no bundle; `make run` makes one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.unpack_archive(archives[0], folder)
        bundle = next(path for path in folder.iterdir() if path.is_dir())
        with np.load(bundle / "golden.npz") as golden:
            images = golden["images"]
        running: list[Running] = []
        try:
            running.extend(servers(arguments, bundle, images, folder))
            if arguments.endurance:
                print(endurance(running[0], arguments.endurance))
            else:
                print(table(results(running, arguments.rounds, arguments.seconds), running))
        finally:
            for server in running:
                server.end()


if __name__ == "__main__":
    main()
