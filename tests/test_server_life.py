"""Load, stop and kill of a server: no request is lost, no response is wrong."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving import Classifier
from serving.subprocess_runtime import FIRST_SECONDS
from tests.clients import BODY, HEADERS, Client, load
from tests.server import FORMAT, Server
from tests.triton_requests import INFER, tensor
from tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.slow


def all_answered_again(clients: list[Client], before: list[int]) -> bool:
    """Whether each client has had more than five responses since `before`."""
    return all(
        len(client.versions) > count + 5 for client, count in zip(clients, before, strict=True)
    )


@pytest.mark.parametrize("options", [[], ["--plain"], ["--processes", "2"]])
def test_requests_are_answered_after_sigterm(
    archive: Path, classifier: Classifier, options: list[str]
) -> None:
    with (
        Server(archive, "--format", FORMAT, "--drain", "600", *options) as running,
        load(running.port, classifier) as clients,
    ):
        running.signal(signal.SIGTERM)
        wait_for(lambda: all(client.closing for client in clients))
        assert running.get("/v2/health/ready").status == 503
        assert running.get("/v2/health/live").status == 200
        running.signal(signal.SIGTERM)  # skips the rest of the drain
        assert running.process.wait(SECONDS) == 0
        wait_for(lambda: all(client.lost for client in clients))
    for client in clients:
        assert not client.wrong
        # Either the server was gone, or the kernel accepted the client at the instant in which it
        # went. No response was cut off.
        (error,) = client.lost
        assert type(error) in (ConnectionRefusedError, ConnectionResetError)


@pytest.mark.parametrize("options", [[], ["--plain"], ["--processes", "2"]])
def test_no_connection_is_reset_when_the_server_ends(archive: Path, options: list[str]) -> None:
    """Half of the clients keep their connection, half open one for each request.

    The server ends five times, because a reset is a matter of an instant.
    """
    ends: list[str] = []

    def send_requests(port: int, keeps_connection: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            while True:
                connection.request("GET", "/v2")
                assert connection.getresponse().read().startswith(b'{"name":"serving"')
                if not keeps_connection:
                    connection.close()
        except Exception as error:
            ends.append(type(error).__name__)

    for _ in range(5):
        with Server(archive, "--format", FORMAT, "--drain", "0.1", *options) as running:
            threads = [
                threading.Thread(target=send_requests, args=(running.port, number % 2 == 1))
                for number in range(8)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            assert running.stop() == (0, "")
            for thread in threads:
                thread.join()
    assert ends == ["ConnectionRefusedError"] * 40


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_connection_that_is_half_made_when_the_server_ends_is_answered(
    archive: Path, options: list[str]
) -> None:
    """The client has the server's packet, and sends its own only with its request."""
    with Server(archive, "--format", FORMAT, "--drain", "0", *options) as running:
        with socket.socket() as client:
            client.settimeout(SECONDS)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            client.connect(("127.0.0.1", running.port))
            running.process.terminate()
            time.sleep(0.03)  # tcp(7) delays an acknowledgement by 40 ms at least
            client.sendall(b"GET /v2 HTTP/1.1\r\nhost: here\r\n\r\n")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        assert running.process.wait(SECONDS) == 0


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_model_whose_process_hangs_answers_again_soon(archive: Path, options: list[str]) -> None:
    python = Path(sys.prefix) / "runtimes/tflite_runtime/bin/python"
    with Server(
        archive,
        "--runtime",
        "tflite_runtime",
        "--format",
        "tflite_float32",
        *options,
        python=python,
    ) as running:
        before = running.ask("POST", INFER, BODY, HEADERS)
        for _ in range(2):
            (child,) = psutil.Process(running.process.pid).children()
            child.suspend()
            start = time.monotonic()
            assert running.ask("POST", INFER, BODY, HEADERS).body == before.body
            # An answer is late after a multiple of what the first one took, and at least 3 s.
            assert time.monotonic() - start < FIRST_SECONDS / 2
            assert not child.is_running()
            assert running.get("/v2/health/ready").status == 200
        (child,) = psutil.Process(running.process.pid).children()
        child.suspend()
        assert running.stop()[0] == 0
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_server_is_not_ready_while_its_model_hangs(archive: Path, options: list[str]) -> None:
    """The process of the model is stopped, and so is the one that takes its place."""
    python = Path(sys.prefix) / "runtimes/tflite_runtime/bin/python"
    name = ["--runtime", "tflite_runtime", "--format", "tflite_float32"]
    with (
        Server(archive, *name, *options, python=python) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        server = psutil.Process(running.process.pid)

        def stop_children() -> None:
            for child in server.children():
                with suppress(psutil.NoSuchProcess):  # replaced meanwhile
                    child.suspend()

        def is_unready_with_all_children_stopped() -> bool:
            stop_children()
            return running.get("/v2/health/ready").status == 503

        stop_children()  # before the request, which could be answered first
        answer = pool.submit(running.ask, "POST", INFER, BODY, HEADERS)
        wait_for(is_unready_with_all_children_stopped)
        assert running.get("/v2/models/mnist-digits/ready").status == 503
        assert running.get("/v2/health/live").status == 200
        for child in server.children():
            child.resume()
        assert answer.result().status in (200, 503)
        wait_for(running.is_ready)
        assert running.ask("POST", INFER, BODY, HEADERS).status == 200


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_slow_client_does_not_delay_the_end(archive: Path, options: list[str]) -> None:
    server = Server(archive, "--format", FORMAT, "--timeout", "1", "--drain", "0", *options)
    with server as running, socket.create_connection(("127.0.0.1", running.port)) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: 500\r\n\r\n.")
        # A server that has answered two later connections has read from this one.
        for _ in range(2):
            assert running.get("/v2/health/live").status == 200
        assert running.stop() == (0, "")
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_clients_that_retry_get_no_wrong_response_from_a_killed_server(
    archive: Path, classifier: Classifier
) -> None:
    running = Server(archive, "--format", FORMAT)
    with load(running.port, classifier, retries=True) as clients:
        for _ in range(3):
            running.process.kill()
            running.process.communicate()
            wait_for(lambda: all(client.lost for client in clients))
            running = Server(archive, "--format", FORMAT, port=running.port)
            before = [len(client.versions) for client in clients]
            wait_for(partial(all_answered_again, clients, before))
    running.process.kill()
    running.process.communicate()
    assert not [client.wrong for client in clients if client.wrong]


def test_too_much_load_is_refused_for_now(archive: Path) -> None:
    with Server(archive, "--format", FORMAT, "--max-queue", "64") as running:
        size = 64 * 784
        head = json.dumps({"inputs": [tensor(64, parameters={"binary_data_size": size})]})
        headers = {"Inference-Header-Content-Length": str(len(head))}
        answers: list[Any] = []

        def flood() -> None:
            for _ in range(1000):
                answers.append(running.ask("POST", INFER, head.encode() + bytes(size), headers))
                if {answer.status for answer in answers} >= {200, 503}:
                    return

        threads = [threading.Thread(target=flood) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = {answer.status for answer in answers}
        assert statuses == {200, 503}
        assert all(
            answer.headers["retry-after"] == "1" for answer in answers if answer.status == 503
        )
        assert running.ask("POST", INFER, BODY, HEADERS).status == 200


def test_memory_does_not_grow_under_load(archive: Path, classifier: Classifier) -> None:
    with Server(archive, "--format", FORMAT) as running, load(running.port, classifier) as clients:
        wait_for(lambda: sum(len(client.versions) for client in clients) > 1500)
        before = running.megabytes
        wait_for(lambda: sum(len(client.versions) for client in clients) > 5000)
        assert running.megabytes - before < 2
