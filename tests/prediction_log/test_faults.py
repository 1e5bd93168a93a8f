"""Faults of the prediction log: none stops the server, and none leaves a broken file."""

from __future__ import annotations

import resource
import signal
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.field import sources
from pipeline.process.errors import UserError
from serving import Classifier
from serving.errors import LogError
from serving.prediction_log import PredictionLog
from tests.clients import load
from tests.prediction_log.conftest import predict, rows, send_label
from tests.server import FORMAT, Server, failed
from tests.triton_requests import image
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


def is_labelled(server: Server, id_: str) -> bool:
    return send_label(server, id_, "0").status == 200


def test_two_processes_share_one_log(archive: Path, path: Path, classifier: Classifier) -> None:
    started: list[Server] = []
    threads = [
        threading.Thread(
            target=lambda: started.append(Server(archive, "--format", FORMAT, "--log", path))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(started) == 2
        ids = [predict(server)["id"] for _ in range(20) for server in started]
        for server in started:  # each labels a prediction of the other
            (other,) = {*started} - {server}
            id_ = predict(other)["id"]
            ids.append(id_)
            # Until the other process has written it to the log, the prediction is unknown.
            wait_for(partial(is_labelled, server, id_))
        assert [server.stop() for server in started] == [(0, ""), (0, "")]
    finally:
        for server in started:
            server.__exit__()
    assert sorted(row[0] for row in rows(path, "id")) == sorted(ids)


def test_a_log_survives_a_server_that_is_killed_under_load(
    archive: Path, path: Path, classifier: Classifier
) -> None:
    with Server(archive, "--format", FORMAT, "--log", path) as running:
        with load(running.port, classifier, retries=True) as clients:
            wait_for(lambda: sum(len(client.versions) for client in clients) > 200)
            answered = sum(len(client.versions) for client in clients)
            wait_for(lambda: rows(path, "count(*)")[0][0] >= 2 * answered)
            running.signal(signal.SIGKILL)
            running.process.wait()
        (observed,) = sources.read(path, None, archive)
        assert len(observed.predicted) >= 2 * answered
        expected = classifier.predict(image(2)).argmax(1)
        assert {tuple(pair) for pair in observed.predicted.reshape(-1, 2).tolist()} == {
            tuple(expected.tolist())
        }
    with Server(archive, "--format", FORMAT, "--log", path) as again:
        id_ = predict(again)["id"]
        assert send_label(again, id_, "0").status == 200


def test_a_full_disk_costs_log_entries_but_no_responses(server: Server, path: Path) -> None:
    predict(server)
    wait_for(lambda: len(rows(path)) == 1)
    process = psutil.Process(server.process.pid)
    # No file may grow, as on a full disk.
    process.rlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
    for _ in range(3):
        id_ = predict(server)["id"]
    refused = send_label(server, id_, "0")
    assert refused.status in (404, 503), refused.body
    wait_for(lambda: b"serving_unlogged_images_total 3" in server.get("/metrics").body)
    process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    id_ = predict(server)["id"]
    assert send_label(server, id_, "0").status == 200
    status, errors = server.stop()
    assert status == 0
    first, second = errors.splitlines()
    assert first.startswith(f"error: the log {path} cannot be written (")
    assert second == f"{path} is written again"
    assert len(rows(path)) == 2


def test_a_log_that_is_deleted_under_the_server_is_created_again(
    server: Server, path: Path
) -> None:
    predict(server)
    wait_for(lambda: len(rows(path)) == 1)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    id_ = predict(server)["id"]
    assert send_label(server, id_, "0").status == 200
    assert server.stop() == (0, "")
    assert rows(path, "id, label") == [(id_, 0)]


def test_a_label_for_a_log_that_was_moved_away_is_unknown(
    path: Path, classifier: Classifier
) -> None:
    with PredictionLog(path) as log:
        (id_,) = log.add(classifier, image(1), classifier.predict(image(1)))
        for file in path.parent.glob(f"{path.name}*"):
            file.rename(file.with_name(f"moved-{file.name}"))
        assert log.label({id_: "1"}) == ([], [id_])
        assert rows(path) == []


def test_a_log_that_is_overwritten_under_the_server_costs_no_responses(
    server: Server, archive: Path, path: Path
) -> None:
    predict(server)
    wait_for(lambda: len(rows(path)) == 1)
    path.write_bytes(b"no database " * 100)
    for _ in range(3):
        predict(server)
        time.sleep(0.2)
    status, errors = server.stop()
    assert status == 0
    assert "Traceback" not in errors
    try:
        (observed,) = sources.read(path, None, archive)
        assert len(observed.names) == 4
    except UserError as error:
        assert "damaged or not a log" in str(error)


def test_an_unusable_log_is_reported_at_the_start(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"no database " * 100)
    foreign = sqlite3.connect(tmp_path / "foreign")
    foreign.execute("CREATE TABLE mine (value)")
    foreign.close()
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("other", "file is not a database"),
        ("foreign", "is a SQLite file of something else"),
        ("folder", "unable to open"),
        ("missing/x", "unable to open"),
    ):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else None
        assert reason in failed(archive, "--log", tmp_path / name)
        assert before is None or (tmp_path / name).read_bytes() == before
    assert "add --log FILE" in failed(archive, "--log-images")


def test_a_log_that_cannot_be_written_is_one_sentence() -> None:
    sentence = r"^the log /proc/field\.sqlite cannot be opened \(.*\); .*a new file"
    with pytest.raises(LogError, match=sentence):
        PredictionLog("/proc/field.sqlite")
