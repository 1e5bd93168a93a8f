"""Start, reload, overload, stop and kill of a server: no request is lost, no response is wrong."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.bundle import archive as archives
from pipeline.bundle import sign
from serving import Bundle, Classifier
from serving.__main__ import main
from serving.checksums import MANIFEST, manifest
from tests.hostile_bundles import MEMORY, bomb
from tests.record_triton import INFER, binary, image, requested_outputs, tensor
from tests.server import FORMAT, Server, failed, rename
from tests.signing import pem

pytestmark = pytest.mark.slow

HEADERS, BODY = binary(outputs=requested_outputs(binary_data=True))
CLIENTS = 4


class Client:
    """Sends requests over one connection while `running`, and records every outcome."""

    def __init__(self, port: int, expected: Any, retries: bool = False) -> None:
        self.port, self.expected, self.retries = port, expected, retries
        self.versions: list[str] = []
        self.wrong: list[Any] = []
        self.lost: list[Exception] = []
        self.seconds: list[float] = []
        self.closing = self.running = False
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def run(self) -> None:
        self.running = True
        while self.running:
            start = time.perf_counter()
            try:
                self.ask()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                self.lost.append(error)
                if not self.retries:
                    break
                time.sleep(0.05)
            self.seconds.append(time.perf_counter() - start)
        self.connection.close()

    def ask(self) -> None:
        self.connection.request("POST", INFER, BODY, HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        length = int(response.getheader("inference-header-content-length") or 0)
        if response.status != 200 or not np.allclose(
            np.frombuffer(body[length:], "<f4"), self.expected, atol=1e-6
        ):
            self.wrong.append((response.status, body))
        else:
            self.versions.append(json.loads(body[:length])["model_version"])
        self.closing = response.getheader("connection") == "close"


@contextmanager
def load(port: int, classifier: Classifier, retries: bool = False) -> Iterator[list[Client]]:
    clients = [Client(port, classifier.predict(image(2)).ravel(), retries) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: all(client.versions for client in clients))
        yield clients
    finally:
        for client in clients:
            client.running = False
        for thread in threads:
            thread.join(30)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not become true in time"
        time.sleep(0.02)


def all_saw(version: str, clients: list[Client]) -> bool:
    return all(client.versions[-1] == version for client in clients)


def has_metric(server: Server, text: bytes) -> bool:
    return text in server.get("/metrics").body


def all_answered_again(clients: list[Client], before: list[int]) -> bool:
    """Whether each client has had more than five responses since `before`."""
    return all(
        len(client.versions) > count + 5 for client, count in zip(clients, before, strict=True)
    )


def test_a_new_version_takes_over_under_load_without_losing_a_request(
    bundle: Path, classifier: Classifier
) -> None:
    with Server(bundle, "--format", FORMAT) as running, load(running.port, classifier) as clients:
        for version in ("1.0.1", "1.0.2"):
            changed = bundle.parent / version
            shutil.copytree(bundle, changed)
            rename(changed, classifier.card.name, version)
            bundle.rename(bundle.parent / f"before-{version}")
            changed.rename(bundle)
            wait_for(partial(all_saw, version, clients))
        assert running.get(f"/v2/models/{classifier.card.name}/versions/1.0.2/ready").status == 200
        assert running.get(f"/v2/models/{classifier.card.name}/versions/1.0.1/ready").status == 404
    for client in clients:
        assert not client.wrong
        assert not client.lost
        assert list(dict.fromkeys(client.versions)) == [classifier.card.version, "1.0.1", "1.0.2"]


def test_a_damaged_new_version_leaves_the_old_one_in_service(
    bundle: Path, classifier: Classifier
) -> None:
    with Server(bundle, "--format", FORMAT) as running:
        model = next(bundle.glob(f"{FORMAT}.*"))
        model.write_bytes(model.read_bytes()[:-1] + b"!")
        os.utime(bundle / MANIFEST)
        wait_for(lambda: b'outcome="failed"' in running.get("/metrics").body)
        assert running.ask("POST", INFER, BODY, HEADERS).status == 200
        status, errors = running.stop()
    assert status == 0
    assert "the old model stays in service" in errors
    assert "Traceback" not in errors


def test_a_faulty_new_version_is_reported_and_the_next_good_one_is_loaded(
    bundle: Path, classifier: Classifier
) -> None:
    """Its checksums are right, so that it is opened; its golden vectors are not."""
    paths = [path for path in bundle.rglob("*") if path.is_file() and path.name != MANIFEST]
    contents = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in paths}
    good = contents["golden.npz"]
    with Server(bundle, "--format", FORMAT) as running:
        for golden, outcome in ((good[:-100], b'outcome="failed"'), (good, b'outcome="done"')):
            (bundle / "golden.npz").write_bytes(golden)
            (bundle / MANIFEST).write_bytes(manifest({**contents, "golden.npz": golden}))
            wait_for(partial(has_metric, running, outcome))
            assert running.ask("POST", INFER, BODY, HEADERS).status == 200
        _, errors = running.stop()
    assert "golden.npz is not what package writes" in errors
    assert "Traceback" not in errors


def release(bundle: Path, version: str, key: Path, folder: Path) -> None:
    """Points the link folder/current to a signed version of the bundle, in one step."""
    content = shutil.copytree(bundle, folder / f"content-{version}")
    rename(content, "mnist-digits", version)
    target = folder / version
    target.mkdir()
    archives.write(content, target / "new.tar.gz", f"mnist-digits-{version}")
    sign.sign(content, target / "new.sig", key, None, [])
    (folder / "next").symlink_to(target, target_is_directory=True)
    (folder / "next").replace(folder / "current")


@pytest.mark.parametrize("allowed", [False, True])
def test_an_older_version_takes_over_only_where_that_is_allowed(
    bundle: Path, tmp_path: Path, allowed: bool
) -> None:
    """All are signed by the trusted key: an old release could bring its faults back."""
    folder, secret = tmp_path / "releases", ec.generate_private_key(ec.SECP256R1())
    folder.mkdir()
    key, trust = pem(tmp_path, "private", secret), pem(tmp_path, "public", secret.public_key())
    release(bundle, "1.0.10", key, folder)
    options = ["--trust", str(trust), "--format", FORMAT]
    options += ["--allow-rollback"] if allowed else []
    with Server(folder / "current", *options) as running:
        outcome = "done" if allowed else "failed"
        for count, version in enumerate(("1.0.9", "1.0.10-rc1"), 1):
            release(bundle, version, key, folder)
            wait_for(partial(has_metric, running, f'outcome="{outcome}"}} {count}'.encode()))
            served = version if allowed else "1.0.10"
            assert running.get(f"/v2/models/mnist-digits/versions/{served}/ready").status == 200
        release(bundle, "1.0.11", key, folder)
        wait_for(lambda: running.get("/v2/models/mnist-digits/versions/1.0.11/ready").status == 200)
        _, errors = running.stop()
    for version in ("1.0.9", "1.0.10-rc1"):
        sentence = (
            f"now holds version {version}, older than 1.0.10; --allow-rollback would serve it"
        )
        assert (sentence in errors) is not allowed
    assert "Traceback" not in errors


def test_a_bomb_in_the_place_of_a_bundle_takes_little_memory(archive: Path, tmp_path: Path) -> None:
    served = tmp_path / "served.tar.gz"
    shutil.copy(archive, served)
    with Server(served, "--format", FORMAT) as running:
        before = psutil.Process(running.process.pid).memory_info().rss
        original = Bundle(archive)
        contents = {name: original.read(name) for name in original.digests}
        (tmp_path / "bomb").write_bytes(bomb(contents, 8 << 20, 100))
        (tmp_path / "bomb").rename(served)
        wait_for(lambda: b'outcome="failed"' in running.get("/metrics").body)
        assert running.peak_megabytes * 1e6 - before < MEMORY
        _, errors = running.stop()
    assert "it unpacks to far more than a bundle of its size" in errors


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_requests_are_answered_after_sigterm(
    archive: Path, classifier: Classifier, options: list[str]
) -> None:
    with (
        Server(archive, "--format", FORMAT, "--drain", "0.5", *options) as running,
        load(running.port, classifier) as clients,
    ):
        running.signal(signal.SIGTERM)
        wait_for(lambda: all(client.closing for client in clients))
        assert running.get("/v2/health/ready").status == 503
        assert running.get("/v2/health/live").status == 200
        assert running.process.wait(20) == 0
        wait_for(lambda: all(client.lost for client in clients))
    for client in clients:
        assert not client.wrong
        # Either the server was gone, or the kernel accepted the client at the instant in which it
        # went. No response was cut off.
        (error,) = client.lost
        assert type(error) in (ConnectionRefusedError, ConnectionResetError)


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_no_connection_is_reset_when_the_server_ends(archive: Path, options: list[str]) -> None:
    """Half of the clients keep their connection, half open one for each request.

    The server ends five times, because a reset is a matter of an instant.
    """
    ends: list[str] = []

    def send_requests(port: int, keeps_connection: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
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
                thread.join(30)
    assert ends == ["ConnectionRefusedError"] * 40


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
            assert time.monotonic() - start < 12
            assert not child.is_running()
            assert running.get("/v2/health/ready").status == 200
        (child,) = psutil.Process(running.process.pid).children()
        child.suspend()
        assert running.stop()[0] == 0
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_slow_client_does_not_delay_the_end(archive: Path, options: list[str]) -> None:
    server = Server(archive, "--format", FORMAT, "--timeout", "1", "--drain", "0", *options)
    with server as running, socket.create_connection(("127.0.0.1", running.port)) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: 500\r\n\r\n.")
        time.sleep(0.1)
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
            answers.extend(
                running.ask("POST", INFER, head.encode() + bytes(size), headers) for _ in range(20)
            )

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


def test_a_port_in_use_is_one_sentence(archive: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in failed(
            archive, "--port", str(port)
        )


def test_two_bundles_of_one_name_are_one_sentence(archive: Path, bundle: Path) -> None:
    assert "both hold a model named 'mnist-digits'" in failed(
        archive, bundle, "--format", FORMAT, "--port", "0"
    )


def test_a_missing_runtime_is_one_sentence(archive: Path) -> None:
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    assert "install" in failed(archive, "--runtime", "tflite_runtime", "--port", "0", python=python)


@pytest.mark.parametrize("damage", ["missing", "empty", "folder", "no card"])
def test_an_unreadable_bundle_is_one_sentence(bundle: Path, damage: str) -> None:
    if damage == "missing":
        shutil.rmtree(bundle)
    elif damage == "empty":
        shutil.rmtree(bundle)
        bundle.write_bytes(b"")
    elif damage == "folder":
        (bundle / "model_card.json").unlink()
        (bundle / "model_card.json").mkdir()
    else:
        (bundle / "model_card.json").write_text("[]")
    failed(bundle, "--format", FORMAT, "--port", "0")


def test_a_token_file_that_cannot_be_used_is_one_sentence(archive: Path, tmp_path: Path) -> None:
    assert "is not readable" in failed(archive, "--token-file", tmp_path / "none", "--port", "0")
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in failed(archive, "--token-file", tmp_path / "empty", "--port", "0")
    for name, token in (
        ("two lines", "one\ntwo"),
        ("terminal", "\x1b[31m"),
        ("nul", "a\0b"),
        ("long", "a" * 100_000),
    ):
        (tmp_path / name).write_text(token)
        assert "holds a token that no header can carry" in failed(
            archive, "--token-file", tmp_path / name, "--port", "0"
        )


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "soon"])
def test_a_time_is_a_number_of_seconds(
    archive: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    for option in ("--drain", "--timeout"):
        with pytest.raises(SystemExit):
            main(["serve", str(archive / "none"), f"{option}={text}"])
        assert f"argument {option}: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve", str(archive / "none"), "--timeout", "0"])


def test_an_unknown_host_is_one_sentence(archive: Path) -> None:
    assert "cannot listen on" in failed(archive, "--host", "no such host", "--port", "0")


def test_the_server_listens_on_the_loopback_alone(archive: Path) -> None:
    with Server(archive, "--format", FORMAT) as running:
        connections = psutil.Process(running.process.pid).net_connections("inet")
        (listening,) = [entry for entry in connections if entry.status == psutil.CONN_LISTEN]
        assert (listening.laddr.ip, listening.laddr.port) == ("127.0.0.1", running.port)
