"""Our server over gRPC and over HTTP with binary tensors, under load in turn.

    python -m benchmarks.serving_grpc [--seconds 2] [--rounds 5]

wrk does not speak gRPC, so the load of both comes from one Python process, with eight connections
of asyncio or of grpc.aio. Prints one table, of medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from benchmarks.bench_serve import unpacked
from benchmarks.serving_load import CONNECTIONS, LoadRequest, RunningServer, load_request, start
from benchmarks.serving_peers import requests
from pipeline.reporting import tables
from serving.server.grpc_messages import CLASSES

MODEL = "mnist-digits"
METHOD = "/inference.GRPCInferenceService/ModelInfer"
Ask = Callable[[], Awaitable[object]]


async def load(connect: Callable[[], Awaitable[Ask]], seconds: float) -> int:
    """The number of requests that all connections had answered."""
    asks = [await connect() for _ in range(CONNECTIONS)]
    end, count = time.monotonic() + seconds, 0

    async def repeat(ask: Ask) -> None:
        nonlocal count
        while time.monotonic() < end:
            await ask()
            count += 1

    await asyncio.gather(*map(repeat, asks))
    return count


async def over_http(port: int, request: LoadRequest) -> Ask:
    lines = [f"POST {request.path} HTTP/1.1", "Host: test", f"Content-Length: {len(request.body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    message = "\r\n".join([*lines, "", ""]).encode() + request.body
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask() -> None:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))

    return ask


async def over_grpc(port: int, images: Any, field: str) -> Ask:
    values = {"name": "image", "datatype": "UINT8", "shape": images.shape}
    raw = [images.tobytes()] if field == "raw" else []
    if not raw:
        values["contents"] = {"uint_contents": images.ravel().tolist()}
    inputs = [CLASSES["Values"](**values).SerializeToString()]
    message = CLASSES["Request"](model_name=MODEL, inputs=inputs, raw_input_contents=raw)
    body = message.SerializeToString()
    own = [("grpc.use_local_subchannel_pool", 1)]  # else all channels share a connection
    call = grpc.aio.insecure_channel(f"127.0.0.1:{port}", own).unary_unary(METHOD)
    return lambda: call(body)


def measure(
    server: RunningServer, connect: Callable[[], Awaitable[Ask]], seconds: float
) -> tuple[float, float]:
    """Requests per second, and the server's CPU microseconds per request."""
    before = server.cpu()
    count = asyncio.run(load(connect, seconds))
    return count / seconds, 1e6 * (server.cpu() - before) / count


def ways(
    port: int, grpc_port: int, images: Any, folder: Path
) -> dict[str, Callable[[], Awaitable[Ask]]]:
    path = f"/v2/models/{MODEL}/infer"
    batch = np.resize(images, (64, *images.shape[1:]))
    load_requests = {
        kind: load_request(folder, kind.replace(" ", "-"), path, headers, body)
        for kind, (headers, body) in requests(images).items()
    }
    return {
        "HTTP, binary": lambda: over_http(port, load_requests["binary"]),
        "gRPC, raw contents": lambda: over_grpc(grpc_port, images[:1], "raw"),
        "gRPC, typed contents": lambda: over_grpc(grpc_port, images[:1], "typed"),
        "HTTP, binary, 64 images": lambda: over_http(port, load_requests["binary of 64"]),
        "gRPC, raw contents, 64 images": lambda: over_grpc(grpc_port, batch, "raw"),
    }


def table(results: dict[str, list[tuple[float, float]]]) -> str:
    lines = [tables.markdown(["way", "requests/s", "server's CPU µs a request"]), "|---|---:|---:|"]
    for way, measured in results.items():
        rate, cpu = map(statistics.median, zip(*measured, strict=True))
        lines.append(tables.markdown([way, f"{rate:,.0f}", f"{cpu:,.0f}"]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_grpc")
    parser.add_argument("--seconds", type=float, default=2, help="the length of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, images = unpacked(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            grpc_port = free.getsockname()[1]
        headers, body = requests(images)["json"]
        probe = load_request(folder, "json", f"/v2/models/{MODEL}/infer", headers, body)
        command = [sys.executable, "-m", "serving", "serve", str(bundle), "--port", "PORT"]
        command += ["--grpc-port", str(grpc_port), "--format", "onnx_float32"]
        server = start("ours", {"json": probe}, *command)
        try:
            connects = ways(server.port, grpc_port, images, folder)
            results: dict[str, list[tuple[float, float]]] = {way: [] for way in connects}
            for _ in range(arguments.rounds):
                for way, connect in connects.items():
                    results[way].append(measure(server, connect, arguments.seconds))
            print(table(results))
        finally:
            server.end()


if __name__ == "__main__":
    main()
