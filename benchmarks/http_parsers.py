"""How long reading a request takes: our parser and h11, the other one without compiled code.

    python -m benchmarks.http_parsers                  on this processor
    python -m benchmarks.http_parsers cortex-a7        on an emulated one, as params.yaml names it

httptools, which parses in C, has no wheel for armv7, so a server on uvicorn would read with h11
there. The request asks in JSON for one image of 28 x 28 pixels. h11 takes the next request only
after an answer, so it also writes the head of one. An emulated processor is slower than the real
one, so only the ratio counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REQUESTS = 500
ROUNDS = 5


def request() -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [0] * 784}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = (
        "POST /v2/models/mnist-digits/infer HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        "User-Agent: benchmark\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_with_ours(data: bytes) -> None:
    from serving.server.http_parser import RequestParser
    from serving.server.limits import Limits

    parser = RequestParser(Limits(), lambda held: held)
    for _ in range(REQUESTS):
        parser.feed(data)
        assert parser.next() is not None
        parser.release()


def read_with_h11(data: bytes) -> None:
    import h11

    connection = h11.Connection(h11.SERVER)
    for _ in range(REQUESTS):
        connection.receive_data(data)
        while not isinstance(connection.next_event(), h11.EndOfMessage):
            pass
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        connection.send(h11.EndOfMessage())
        connection.start_next_cycle()


def microseconds(read: Callable[[bytes], None]) -> float:
    """The CPU time of a request; the median of the rounds."""
    data = request()
    times = []
    for _ in range(ROUNDS):
        before = time.process_time()
        read(data)
        times.append(1e6 * (time.process_time() - before) / REQUESTS)
    return statistics.median(times)


def emulate(processor: str) -> None:
    """Runs this program with the Python of an emulated processor."""
    import h11

    from benchmarks.project import ROOT
    from pipeline.runtimes import emulation

    interpreter = emulation.interpreter(processor, "tflite_runtime")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(h11.__file__).parent, Path(folder) / "h11")
        paths = f"{ROOT}:{folder}:{interpreter.environment['PYTHONPATH']}"
        environment = {**interpreter.environment, "PYTHONPATH": paths}
        command = [*interpreter.command, "-m", "benchmarks.http_parsers"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("processor", nargs="?", help="an emulated one (default: this one)")
    if processor := parser.parse_args().processor:
        emulate(processor)
        return
    ours, theirs = microseconds(read_with_ours), microseconds(read_with_h11)
    print(f"a request: ours {ours:.0f} µs, h11 {theirs:.0f} µs, {theirs / ours:.1f} times")


if __name__ == "__main__":
    main()
