"""`make bench-serve`: our server and others with the same ONNX file, under load from wrk in turn.

    python -m benchmarks.bench_serve [--seconds 3] [--rounds 3] [--triton PYTHON]
                                     [--mlserver PYTHON] [--kserve PYTHON] [--bentoml PYTHON]
    python -m benchmarks.bench_serve --endurance 600

Prints one table. Each server is one process unless its name says otherwise, and ours checks its
input as usual. The figures are medians over the rounds; each round sends every kind of request to
every server, so that other work on the machine affects all of them equally. Needs wrk, and haproxy
for the row behind it (Debian: apt-get install wrk haproxy).
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import socket
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.project import ROOT, end_servers_on_sigterm
from benchmarks.serving_load import LoadRequest, RunningServer, load_request, measure, start
from benchmarks.serving_peers import requests
from pipeline.reporting import tables

COLUMNS = ("json", "binary", "binary of 64")
# By server and kind of request, what `measure` returned in each round.
Results = dict[tuple[str, str], list[tuple[float, float, float]]]


def endurance(server: RunningServer, seconds: int) -> str:
    """The server's memory, sampled ten times, under load for that many seconds."""
    measure(server, "json", 10)  # allocates what is allocated only once
    memory, count = [server.megabytes()], 0.0
    for _ in range(10):
        count += measure(server, "json", seconds // 10)[0] * (seconds // 10)
        memory.append(server.megabytes())
    samples = ", ".join(f"{megabytes:.1f}" for megabytes in memory)
    return f"{server.name}: {count:,.0f} JSON requests in {seconds} seconds; memory, MB: {samples}"


def mlflow_model(onnx_file: str, folder: Path, images: Any) -> str:
    """Saves the same ONNX file as an MLflow model; returns its folder."""
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


def behind_haproxy(
    folder: Path, requests: dict[str, LoadRequest], server: list[str]
) -> RunningServer:
    """Two of our servers as children of haproxy, which passes requests on to them."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        ports = [str(free.getsockname()[1]) for free in (first, second)]
    lines = ["defaults", "mode http", "timeout connect 5s", "timeout client 1m"]
    lines += ["timeout server 1m", "listen pair", "bind 127.0.0.1:$PUBLIC"]
    lines += [f"server s{port} 127.0.0.1:{port} check" for port in ports]
    (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
    starts = [shlex.join(server).replace("PORT", port) for port in ports]
    command = f"{' & '.join(starts)} & exec haproxy -f {folder / 'haproxy.cfg'}"
    name = "ours, 2 servers behind haproxy"
    return start(name, requests, "env", "PUBLIC=PORT", "sh", "-c", command)


def servers(
    arguments: argparse.Namespace, bundle: Path, images: Any, folder: Path
) -> Iterator[RunningServer]:
    """Starts our server, then the peers for which there is an environment."""
    onnx = str(bundle / "onnx_float32.onnx")
    path = "/v2/models/mnist-digits/infer"
    every = {
        kind: load_request(folder, kind.replace(" ", "-"), path, headers, body)
        for kind, (headers, body) in requests(images).items()
    }
    ours = [sys.executable, "-m", "serving", "serve", str(bundle), "--port", "PORT", "--format"]
    yield start("ours, onnx_float32", every, *ours, "onnx_float32")
    if arguments.endurance:
        return
    yield start("ours, tflite_float32", every, *ours, "tflite_float32", "--runtime", "litert")
    yield start("ours, tflite_int8", every, *ours, "tflite_int8", "--runtime", "litert")
    yield start("ours, --plain", every, *ours, "onnx_float32", "--plain")
    pair = [*ours, "onnx_float32", "--processes", "2"]
    yield start("ours, 2 processes", every, *pair)
    if shutil.which("haproxy"):
        yield behind_haproxy(folder, every, [*ours, "onnx_float32"])
    json_only = {"json": every["json"]}
    peer = [sys.executable, "-m", "benchmarks.serving_peers"]
    yield start("bare ASGI", every, *peer, "bare", "PORT", onnx)
    yield start("Starlette", json_only, *peer, "starlette", "PORT", onnx)
    yield start("FastAPI", json_only, *peer, "fastapi", "PORT", onnx)
    if arguments.triton:
        command = [arguments.triton, "benchmarks/serving_peers.py", "triton", "PORT", onnx]
        yield start("Triton, Python backend", every, *command)
    if arguments.mlserver:
        command = [arguments.mlserver, "-m", "benchmarks.serving_mlserver", "PORT", onnx]
        yield start("MLServer", json_only, *command)
    if arguments.kserve:
        command = [arguments.kserve, "-m", "benchmarks.serving_kserve", "PORT", onnx]
        yield start("KServe", json_only, *command)
    if arguments.bentoml:
        command = [arguments.bentoml, "-m", "bentoml", "serve", "benchmarks.serving_bentoml:Digits"]
        command += ["--host", "127.0.0.1", "--port", "PORT"]
        yield start("BentoML", json_only, *command, MODEL=onnx)
    body = json.dumps({"inputs": images[:1].tolist()}, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    invocation = {"json": load_request(folder, "mlflow", "/invocations", headers, body)}
    command = [sys.executable, "-m", "mlflow", "models", "serve"]
    command += ["-m", mlflow_model(onnx, folder, images), "--env-manager", "local"]
    command += ["--workers", "1", "--port", "PORT"]
    yield start("mlflow models serve", invocation, *command)


def measure_all(running: list[RunningServer], rounds: int, seconds: int) -> Results:
    """Measures every server with every kind of request, in each round."""
    results: Results = defaultdict(list)
    for _ in range(rounds):
        for kind in COLUMNS:
            for server in running:
                if kind in server.requests:
                    results[server.name, kind].append(measure(server, kind, seconds))
    return results


def table(results: Results, running: list[RunningServer]) -> str:
    """The medians of the results, in Markdown."""
    columns = ["server", "ready, s"]
    columns += ["JSON, requests/s", "binary, requests/s", "batches of 64, images/s"]
    columns += ["p99 JSON, ms", "p99 binary, ms"]
    columns += ["CPU µs a JSON request", "CPU µs a binary request", "memory, MB"]
    lines = [tables.markdown(columns), "|---|" + "---:|" * 9]
    lines += [tables.markdown(row(results, server)) for server in running]
    return "\n".join(lines)


def row(results: Results, server: RunningServer) -> list[str]:
    """One server's cells of the table; empty for a kind of request that it was not sent."""
    rates, latencies, cpu_times = ["", "", ""], ["", ""], ["", ""]
    for column, kind in enumerate(COLUMNS):
        if kind not in server.requests:
            continue
        rate, p99, cpu = map(statistics.median, zip(*results[server.name, kind], strict=True))
        if kind == "binary of 64":
            rates[column] = f"{64 * rate:,.0f}"
        else:
            rates[column] = f"{rate:,.0f}"
            latencies[column] = f"{p99:,.1f}"
            cpu_times[column] = f"{cpu:,.0f}"
    figures = [*rates, *latencies, *cpu_times]
    return [server.name, f"{server.seconds_to_ready:.1f}", *figures, f"{server.megabytes():.0f}"]


def unpacked(folder: Path) -> tuple[Path, Any]:
    """The bundle of dist/, unpacked into a folder, and its golden images (G, ...)."""
    archives = list((ROOT / "dist").glob("*.tar.gz"))
    if not archives:
        sys.exit("error: dist/ holds no bundle; `make run` makes one")
    shutil.unpack_archive(archives[0], folder)
    bundle = next(path for path in folder.iterdir() if path.is_dir())
    with np.load(bundle / "golden.npz") as golden:
        return bundle, golden["images"]


def main() -> None:
    end_servers_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_serve")
    parser.add_argument("--seconds", type=int, default=3, help="the length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triton", metavar="PYTHON", help="an environment with nvidia-pytriton")
    for peer in ("mlserver", "kserve", "bentoml"):
        environment = f"an environment with {peer} and onnxruntime"
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=environment)
    parser.add_argument(
        "--endurance",
        type=int,
        metavar="SECONDS",
        help="only load our server for SECONDS, and print its memory",
    )
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed; on Debian: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, images = unpacked(folder)
        running: list[RunningServer] = []
        try:
            running.extend(servers(arguments, bundle, images, folder))
            if arguments.endurance:
                print(endurance(running[0], arguments.endurance))
            else:
                results = measure_all(running, arguments.rounds, arguments.seconds)
                print(table(results, running))
        finally:
            for server in running:
                server.end()


if __name__ == "__main__":
    main()
