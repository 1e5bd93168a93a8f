"""Several server processes on one port: they are one server, and the loss of one costs little."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from serving import Classifier
from serving.server import place
from tests.clients import Client, load
from tests.prediction_log.conftest import predict, send_label
from tests.server import FORMAT, Server, failed, rename
from tests.signing import pem
from tests.test_server_reload import release
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
PAIR = ("--format", FORMAT, "--processes", "2")


def serving(running: Server) -> list[psutil.Process]:
    """The two processes that serve, once both listen."""
    processes: list[psutil.Process] = []

    def both_listen() -> bool:
        processes.clear()
        for child in psutil.Process(running.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                if child.net_connections("tcp"):
                    processes.append(child)
        return len(processes) == 2

    wait_for(both_listen)
    return processes


def requests(running: Server) -> int:
    """How many requests for /v2 the metrics count."""
    text = running.get("/metrics").body.decode()
    match = re.search(r'serving_requests_total{route="server",status="200"} (\d+)', text)
    return int(match[1]) if match else 0


def ask(running: Server, times: int) -> None:
    for _ in range(times):
        assert running.get("/v2").status == 200


def test_metrics_count_the_requests_of_all_processes_also_of_a_killed_one(archive: Path) -> None:
    with Server(archive, *PAIR) as running:
        first, _ = serving(running)
        ask(running, 40)
        wait_for(lambda: requests(running) == 40)
        first.kill()
        wait_for(lambda: first not in serving(running))
        ask(running, 20)
        wait_for(lambda: requests(running) == 60)
        assert running.stop() == (
            0,
            f"error: process {first.pid} of the server has ended (signal 9); another one starts\n",
        )


def test_a_killed_process_loses_only_the_connections_that_it_held(
    archive: Path, classifier: Classifier
) -> None:
    def went_on(clients: list[Client], before: list[int]) -> bool:
        pairs = zip(clients, before, strict=True)
        return all(len(client.versions) > count for client, count in pairs)

    with Server(archive, *PAIR) as running, load(running.port, classifier, retries=True) as clients:
        first, second = serving(running)
        connections = second.net_connections("tcp")
        kept = {connection.raddr[1] for connection in connections if connection.raddr}
        spared = [client for client in clients if client.connection.sock.getsockname()[1] in kept]
        first.kill()
        wait_for(lambda: first not in serving(running))
        wait_for(partial(went_on, clients, [len(client.versions) for client in clients]))
        assert not [client.lost for client in spared if client.lost]
    assert not [client.wrong for client in clients if client.wrong]


def test_a_label_reaches_its_prediction_through_any_process(archive: Path, tmp_path: Path) -> None:
    with Server(archive, *PAIR, "--log", tmp_path / "field.sqlite") as running:
        serving(running)
        for _ in range(8):  # each request goes to a process that the kernel chooses
            outcome = send_label(running, predict(running)["id"], "3").json
            assert outcome == {"labelled": 1, "unknown": []}
        assert send_label(running, "gone", "3").status == 404


def test_every_process_takes_a_new_version(bundle: Path, classifier: Classifier) -> None:
    name = classifier.card.name
    with Server(bundle, *PAIR) as running:
        serving(running)
        shutil.copytree(bundle, bundle.parent / "new")
        rename(bundle.parent / "new", name, "1.0.1")
        bundle.rename(bundle.parent / "old")
        (bundle.parent / "new").rename(bundle)
        wait_for(lambda: b'outcome="done"} 2' in running.get("/metrics").body)
        for _ in range(8):
            assert running.get(f"/v2/models/{name}/versions/1.0.1/ready").status == 200


def has_failed_to_reload(running: Server) -> bool:
    """False too if the connection was one of a process that was killed."""
    try:
        return b'outcome="failed"} 1' in running.get("/metrics").body
    except OSError:
        return False


def test_a_process_that_takes_the_place_of_another_does_not_go_back_to_an_older_version(
    bundle: Path, tmp_path: Path
) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    key, trust = pem(tmp_path, "private", secret), pem(tmp_path, "public", secret.public_key())
    folder = tmp_path / "releases"
    folder.mkdir()
    release(bundle, "1.0.1", key, folder)
    with Server(folder / "current", *PAIR, "--trust", trust) as running:
        first, _ = serving(running)
        release(bundle, "1.0.0", key, folder)
        first.kill()
        wait_for(lambda: has_failed_to_reload(running))
        for _ in range(8):
            assert running.get("/v2/models/mnist-digits/versions/1.0.1/ready").status == 200
        time.sleep(2)  # in which a process would start
        release(bundle, "1.0.2", key, folder)
        serving(running)
        for _ in range(8):
            wait_for(lambda: running.get("/v2/models/mnist-digits/versions/1.0.2").status == 200)
        status, errors = running.stop()
    assert status == 0
    assert "now holds version 1.0.0, older than 1.0.1; --allow-rollback would serve it\n" in errors
    assert "has ended (exit status 1)" in errors


def test_a_limit_holds_for_all_processes_together(archive: Path) -> None:
    with Server(archive, *PAIR, "--max-connections", "6") as running, ExitStack() as stack:
        serving(running)
        address = ("127.0.0.1", running.port)
        for _ in range(6):
            stack.enter_context(socket.create_connection(address))
        wait_for(lambda: running.get("/v2").status == 503)
        stack.close()
        wait_for(lambda: running.get("/v2").status == 200)


def test_processes_end_with_the_one_that_started_them(archive: Path) -> None:
    with Server(archive, *PAIR) as running:
        children = serving(running)
        running.process.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive


def test_ctrl_c_drains_all_processes(archive: Path) -> None:
    with Server(archive, *PAIR, "--drain", "600") as running:
        children = serving(running)
        running.signal(signal.SIGINT)
        wait_for(lambda: running.get("/v2/health/ready").status == 503)
        assert all(child.is_running() for child in children)
        running.signal(signal.SIGINT)
        assert running.process.wait(60) == 0


def test_a_second_ctrl_c_is_not_lost_on_a_process_that_had_no_time_for_the_first(
    archive: Path,
) -> None:
    def signals_wait(count: int) -> bool:
        status = Path(f"/proc/{child.pid}/status").read_text()
        mask = re.findall(r"^ShdPnd:\s*(\w+)", status, re.MULTILINE)[0]
        return int(mask, 16).bit_count() == count

    def is_stopped() -> bool:
        tasks = Path(f"/proc/{child.pid}/task").glob("*/status")
        return all("State:\tT" in task.read_text() for task in tasks)

    with Server(archive, *PAIR, "--drain", "600") as running:
        child, _ = serving(running)
        child.suspend()
        wait_for(is_stopped)  # until then a thread may still take a signal
        for count in (1, 2):
            running.signal(signal.SIGINT)
            wait_for(partial(signals_wait, count))
        child.resume()
        assert running.process.wait(60) == 0


def test_a_fault_is_told_once_and_starts_nothing(archive: Path, tmp_path: Path) -> None:
    assert "is not readable" in failed(tmp_path / "gone", "--processes", "2", "--port", "0")
    with Server(archive, *PAIR) as running:
        port = str(running.port)
        assert "in use" in failed(archive, "--processes", "2", "--port", port)
        assert "in use" in failed(archive, "--port", port)


def test_the_sum_of_metrics_keeps_each_metric_in_one_group() -> None:
    first = '# HELP a A.\n# TYPE a counter\na{x="p q"} 1\n# HELP b B.\n# TYPE b gauge\nb 0.5\n'
    second = '# HELP a A.\n# TYPE a counter\na{x="p q"} 2\na{x="r"} 7\n'
    assert place.total(first, second) == (
        '# HELP a A.\n# TYPE a counter\na{x="p q"} 3\na{x="r"} 7\n'
        "# HELP b B.\n# TYPE b gauge\nb 0.5\n"
    )
