"""The log of predictions: what `serve` and `predict` write, how labels come to it, and what cannot harm the server."""

from __future__ import annotations

import csv
import io
import itertools
import json
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from PIL import Image

from pipeline.field import observations
from pipeline.process.errors import UserError
from serving import Classifier
from serving.errors import InputError, LogError
from serving.prediction_log import PredictionLog
from tests.conftest import ROOT
from tests.record_triton import INFER, binary, image, json_body, wanted
from tests.server import FORMAT, Server, environment, failed
from tests.test_server_life import load, wait_for

pytestmark = pytest.mark.slow


def rows(path: Path, column: str = "*") -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {column} FROM predictions ORDER BY number").fetchall()
    finally:
        connection.close()


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "field.sqlite"


@pytest.fixture
def server(archive: Path, path: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, "--log", path) as running:
        yield running


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_every_answer_has_an_id_by_which_its_label_comes(
    archive: Path, path: Path, classifier: Classifier, options: list[str]
) -> None:
    with Server(archive, "--format", FORMAT, "--log", path, "--log-images", *options) as running:
        shown = running.ask("POST", "/predict", png(image(1))).json
        headers, body = binary(outputs=wanted(binary_data=True))
        in_binary = running.ask("POST", INFER, body, headers)
        length = int(in_binary.headers["inference-header-content-length"])
        pair = json.loads(in_binary.body[:length])["parameters"]["prediction_id"]
        raw = running.ask(
            "POST", INFER, image(1).tobytes(), {"Inference-Header-Content-Length": "0"}
        )
        lone = json.loads(raw.body[: int(raw.headers["inference-header-content-length"])])[
            "parameters"
        ]["prediction_id"]
        in_json = running.ask("POST", INFER, json_body(id="mine")).json
        assert (in_json["id"], list(in_json)[:4]) == (
            "mine",
            ["id", "model_name", "model_version", "parameters"],
        )
        labels = [{"id": id_, "label": "3"} for id_ in (shown["id"], f"{pair}.1", lone, "gone")]
        noted = running.ask("POST", "/feedback", json.dumps(labels).encode())
        assert (noted.status, noted.json) == (200, {"labelled": 3, "unknown": ["gone"]})
        text = running.get("/metrics").body.decode()
        assert "serving_logged_images_total 6" in text
        assert 'serving_labels_total{model="mnist-digits"' in text
        assert running.stop()[0] == 0
    assert not path.with_name(f"{path.name}-wal").exists(), "all is in the one file"
    (observed,) = observations.read(path, None, archive)
    assert observed.labels.tolist() == [3, -1, 3, 3, -1, -1]
    np.testing.assert_array_equal(observed.picture(1), image(2)[0])
    np.testing.assert_array_equal(observed.predicted[1:3], classifier.predict(image(2)).argmax(1))


def test_tritons_client_reads_the_id(server: Server, classifier: Classifier) -> None:
    tensor = triton.InferInput("image", [1, 28, 28, 1], "UINT8")
    tensor.set_data_from_numpy(image(1))
    with triton.InferenceServerClient(server.url) as client:
        id_ = client.infer(classifier.card.name, [tensor]).get_response()["parameters"][
            "prediction_id"
        ]
    assert (
        server.ask("POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode()).json[
            "labelled"
        ]
        == 1
    )


def test_without_wishing_for_them_no_pixels_are_kept_and_without_a_log_nothing_is(
    archive: Path, server: Server, path: Path
) -> None:
    assert server.ask("POST", "/predict", png(image(1))).status == 200
    assert server.stop()[0] == 0
    assert rows(path, "image, source") == [(None, None)]
    with Server(archive, "--format", FORMAT) as running:
        assert "id" not in running.ask("POST", "/predict", png(image(1))).json
        assert "parameters" not in running.ask("POST", INFER, json_body()).json
        assert running.ask("POST", "/feedback", b'{"id":"a","label":"1"}').status == 404
        assert "/feedback" not in running.get("/openapi.json").json["paths"]


REFUSED = (
    (b"nonsense", 400, "is not JSON"),
    (b"[]", 400, "0 labels; expected 1 to 1000"),
    (b"7", 400, "an entry of the labels is a number"),
    (b'{"id": 7, "label": "1"}', 400, "the id is a number; expected a string"),
    (b'{"id": "x", "label": 1}', 400, "the label is a number; expected a string"),
    (b'{"id": "x", "label": true}', 400, "the label is a boolean; expected a string"),
    (b'{"id": "x", "label": null}', 400, "the label is null; expected a string"),
    (b'{"id": ["x"], "label": "1"}', 400, "the id is an array; expected a string"),
    (b'{"id": {"x": 1}, "label": "1"}', 400, "the id is an object; expected a string"),
    (b'{"id": "x"}', 400, "the label is missing"),
    (b'{"label": "1"}', 400, "the id is missing"),
    (b'{"id": "x", "id": "y", "label": "1"}', 400, "a name twice"),
    (b'{"id": "x", "label": "1", "label": "2"}', 400, "a name twice"),
    ('{"id": "x", "label": "1"}'.encode("utf-16"), 400, "is not JSON"),
    (b'{"id": "x", "label": "1", "more": 1}', 400, "the field 'more'; expected id and label alone"),
    (
        b'[{"id": "x", "label": "1"}, {"id": "x", "label": "2"}]',
        400,
        "'x' has two labels; send one",
    ),
    (json.dumps({"id": "x" * 2000, "label": "1"}).encode(), 400, "at most 1000 characters"),
    (json.dumps({"id": "\ud800", "label": "1"}).encode(), 400, ""),
    (b"[" * 100_000, 413, "more values than 1000 labels"),
    (b'{"id": "other", "label": "1"}', 404, "holds no prediction 'other'"),
    (b'{"id": "a\\u0000b", "label": "1"}', 404, "holds no prediction"),
)


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_feedback_that_cannot_be_is_refused(archive: Path, path: Path, options: list[str]) -> None:
    """By msgspec's parser, and by the standard library's where there is no package."""
    python = f"{sys.prefix}/runtimes/onnxruntime/bin/python" if options else sys.executable
    with Server(archive, "--format", FORMAT, "--log", path, *options, python=python) as server:
        id_ = server.ask("POST", "/predict", png(image(1))).json["id"]
        many = json.dumps([{"id": id_, "label": "1"}] * 1001).encode()
        ten = json.dumps({"id": id_, "label": "ten"}).encode()
        for body, status, sentence in (
            *REFUSED,
            (ten, 400, "'ten' is not a class"),
            (many, 400, "1001 labels"),
        ):
            refused = server.ask("POST", "/feedback", body)
            assert (refused.status, list(refused.json)) == (status, ["error"]), (
                body[:50],
                refused.body,
            )
            assert sentence in refused.json["error"]
        assert server.ask("GET", "/feedback").status == 405


def test_ids_tell_nothing_of_each_other(server: Server) -> None:
    ids = [server.ask("POST", "/predict", png(image(1))).json["id"] for _ in range(50)]
    assert all(len(id_) == 32 for id_ in ids)
    bits = np.unpackbits(
        np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(50, 16), axis=1
    )
    assert (bits.std(axis=0) > 0).all(), "every bit changes"
    for first, second in itertools.combinations(bits, 2):
        assert 30 < (first != second).sum() < 98, "as many as two throws of 128 coins differ in"


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_the_first_label_is_kept_unless_the_server_was_told_otherwise(
    archive: Path, path: Path, options: list[str]
) -> None:
    def label(server: Server, *labels: tuple[str, str]) -> Any:
        return server.ask(
            "POST",
            "/feedback",
            json.dumps([{"id": id_, "label": label} for id_, label in labels]).encode(),
        )

    with Server(archive, "--format", FORMAT, "--log", path, *options) as server:
        first, second = (server.ask("POST", "/predict", png(image(1))).json["id"] for _ in range(2))
        assert label(server, (first, "3")).json == {"labelled": 1, "unknown": []}
        assert label(server, (first, "3")).status == 200, (
            "an answer may have been lost, and the label come again"
        )
        refused = label(server, (first, "4"))
        assert refused.status == 409
        assert f"'{first}' has another label already" in refused.json["error"]
        assert label(server, (first, "4"), (second, "5")).json == {
            "labelled": 1,
            "unknown": [],
            "kept": [first],
        }
        assert 'right="false"} 2' in server.get("/metrics").body.decode(), (
            "what came again counts once"
        )
        assert server.stop()[0] == 0
    assert rows(path, "label") == [(3,), (5,)]
    with Server(archive, "--format", FORMAT, "--log", path, "--replace-labels", *options) as server:
        for _ in range(2):
            assert label(server, (first, "4")).json == {"labelled": 1, "unknown": []}
        assert 'right="false"} 1' in server.get("/metrics").body.decode()
        assert server.stop()[0] == 0
    assert rows(path, "label") == [(4,), (5,)]
    assert "--replace-labels" in failed(archive, "--replace-labels", "--port", "0")


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},  # another port is another site
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {
        "Host": "evil.example",
        "Origin": "http://evil.example",
    },  # a name that was resolved anew to this machine
    {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Host": "127.0.0.1.evil.example", "Origin": "http://127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example", "Origin": "http://localhost.evil.example"},
    {"Host": "0x7f000001", "Origin": "http://0x7f000001"},
)


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_no_page_of_another_site_writes_to_the_log(
    archive: Path, path: Path, options: list[str]
) -> None:
    extra = ["--allow-host", "models.example", "--allow-origin", "https://app.example", *options]
    with Server(archive, "--format", FORMAT, "--log", path, *extra) as server:
        id_ = server.ask("POST", "/predict", png(image(1))).json["id"]
        body = json.dumps({"id": id_, "label": "3"}).encode()
        asked = {"/feedback": body, "/predict": png(image(1)), INFER: json_body()}
        for headers in FOREIGN:
            for where, sent in asked.items():
                refused = server.ask("POST", where, sent, headers)
                assert (refused.status, list(refused.json)) == (403, ["error"]), (where, headers)
        assert server.ask("POST", "/feedback", body, {"Host": "evil.example"}).status == 403, (
            "whatever the client is"
        )
        absolute = b"POST http://evil.example/feedback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
        assert server.send(absolute).startswith(b"HTTP/1.1 403")
        assert server.ask("POST", INFER, json_body(), {"Host": "any.name"}).status == 200, (
            "no browser asks so"
        )
        here = f"127.0.0.1:{server.port}"
        for headers in (
            {},
            {"Origin": f"http://{here}"},
            {"Sec-Fetch-Site": "same-origin"},
            {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"},
            {"Host": "[::1]", "Origin": "http://[::1]:80"},
            {"Host": "models.example", "Origin": "https://models.example"},
            {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
            {"Host": "MODELS.example:8000"},
        ):
            for where, sent in asked.items():
                assert server.ask("POST", where, sent, headers).status == 200, (where, headers)


def test_the_feedback_is_what_openapi_says(server: Server, tmp_path: Path) -> None:
    command = [
        str(Path(sys.prefix) / "bin/schemathesis"),
        "run",
        f"http://{server.url}/openapi.json",
        "--no-color",
    ]
    command += [
        "--include-path",
        "/feedback",
        "--exclude-checks",
        "positive_data_acceptance",
        "--phases",
        "examples,coverage,fuzzing",
    ]
    command += ["--max-examples", "20", "--seed", "7", "--generation-database", "none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Tested: 1" in done.stdout


def test_predict_logs_what_it_was_given(archive: Path, path: Path, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(png(image(3)[index]))
    command = [
        sys.executable,
        "-m",
        "serving",
        "predict",
        str(archive),
        *(str(tmp_path / f"{index}.png") for index in range(3)),
    ]
    command += ["--format", FORMAT, "--output", "csv", "--log", str(path), "--log-limit", "2"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment()
    )
    told = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows(path, "id, source") == [(row["id"], row["picture"]) for row in told[1:]]


def test_the_log_stays_as_large_as_it_is(path: Path, classifier: Classifier) -> None:
    sizes = []
    pixels = np.random.default_rng(0).integers(0, 256, (64, 28, 28, 1), np.uint8)
    probabilities = classifier.predict(pixels)
    with PredictionLog(path, limit=500, images=True) as log:
        for number in range(1, 121):
            log.add(classifier, pixels, probabilities)
            if number % 30 == 0:
                log.checkpoint()
                sizes.append(sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")))
        assert len(rows(path)) == 500
    assert max(sizes) < 1.05 * sizes[0]


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
        ids = [
            server.ask("POST", "/predict", png(image(1))).json["id"]
            for _ in range(20)
            for server in started
        ]
        for server in started:  # each brings a label for what the other answered
            (other,) = {*started} - {server}
            id_ = other.ask("POST", "/predict", png(image(1))).json["id"]
            ids.append(id_)
            time.sleep(0.5)
            assert (
                server.ask(
                    "POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode()
                ).status
                == 200
            )
        assert [server.stop() for server in started] == [(0, ""), (0, "")]
    finally:
        for server in started:
            server.__exit__()
    assert sorted(row[0] for row in rows(path, "id")) == sorted(ids)


def test_killed_under_load_the_log_is_whole_and_goes_on(
    archive: Path, path: Path, classifier: Classifier
) -> None:
    with Server(archive, "--format", FORMAT, "--log", path) as running:
        with load(running.port, classifier, retries=True) as clients:
            wait_for(lambda: sum(len(client.versions) for client in clients) > 200)
            time.sleep(0.5)
            answered = sum(len(client.versions) for client in clients)
            time.sleep(0.5)
            running.signal(signal.SIGKILL)
            running.process.wait()
        (observed,) = observations.read(path, None, archive)
        assert len(observed.predicted) >= 2 * answered
        expected = classifier.predict(image(2)).argmax(1)
        assert {tuple(pair) for pair in observed.predicted.reshape(-1, 2).tolist()} == {
            tuple(expected.tolist())
        }
    with Server(archive, "--format", FORMAT, "--log", path) as again:
        id_ = again.ask("POST", "/predict", png(image(1))).json["id"]
        assert (
            again.ask("POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode()).status
            == 200
        )


def test_a_full_disk_costs_log_entries_and_no_answer(server: Server, path: Path) -> None:
    assert server.ask("POST", "/predict", png(image(1))).status == 200
    wait_for(lambda: len(rows(path)) == 1)
    process, free = (
        psutil.Process(server.process.pid),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    )
    process.rlimit(
        resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY)
    )  # no file may grow, as on a full disk
    for _ in range(3):
        id_ = server.ask("POST", "/predict", png(image(1))).json["id"]
    refused = server.ask("POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode())
    assert refused.status in (404, 503), refused.body
    wait_for(lambda: b"serving_unlogged_images_total 3" in server.get("/metrics").body)
    process.rlimit(resource.RLIMIT_FSIZE, free)
    id_ = server.ask("POST", "/predict", png(image(1))).json["id"]
    assert (
        server.ask("POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode()).status
        == 200
    )
    status, errors = server.stop()
    assert status == 0
    first, second = errors.splitlines()
    assert first.startswith(f"error: the log {path} cannot be written (")
    assert second == f"{path} is written again"
    assert len(rows(path)) == 2


def test_a_log_that_vanishes_under_the_server_is_made_anew(server: Server, path: Path) -> None:
    assert server.ask("POST", "/predict", png(image(1))).status == 200
    wait_for(lambda: len(rows(path)) == 1)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    id_ = server.ask("POST", "/predict", png(image(1))).json["id"]
    assert (
        server.ask("POST", "/feedback", json.dumps({"id": id_, "label": "0"}).encode()).status
        == 200
    )
    assert server.stop() == (0, "")
    assert rows(path, "id, label") == [(id_, 0)]


def test_a_label_for_a_log_that_was_moved_away_is_not_taken(
    path: Path, classifier: Classifier
) -> None:
    with PredictionLog(path) as log:
        (id_,) = log.add(classifier, image(1), classifier.predict(image(1)))
        for file in path.parent.glob(f"{path.name}*"):
            file.rename(file.with_name(f"moved-{file.name}"))
        assert log.label({id_: "1"}) == ([], [id_])
        assert rows(path) == []


def test_a_log_that_is_overwritten_under_the_server_harms_no_answer(
    server: Server, archive: Path, path: Path
) -> None:
    assert server.ask("POST", "/predict", png(image(1))).status == 200
    wait_for(lambda: len(rows(path)) == 1)
    path.write_bytes(b"no database " * 100)
    for _ in range(3):
        assert server.ask("POST", "/predict", png(image(1))).status == 200
        time.sleep(0.2)
    status, errors = server.stop()
    assert status == 0
    assert "Traceback" not in errors
    try:
        (observed,) = observations.read(path, None, archive)
        assert len(observed.names) == 4
    except UserError as error:
        assert "damaged or no log" in str(error)


def garbage(path: Path) -> Path:
    other = path.with_name("other")
    other.write_bytes(b"no database " * 100)
    return other


def test_a_place_where_no_log_can_be_is_told_at_the_start(archive: Path, tmp_path: Path) -> None:
    garbage(tmp_path / "x")
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


def test_from_python_labels_go_in_by_the_ids_and_wrong_ones_are_refused(
    path: Path, classifier: Classifier
) -> None:
    with PredictionLog(path, limit=3) as log:
        ids = log.add(classifier, image(4), classifier.predict(image(4)))
        found, unknown = log.label({ids[0]: "1", ids[3]: "2"})
        assert (len(found), unknown) == (1, [ids[0]]), "the oldest has fallen out"
        with pytest.raises(InputError, match="'ten' is not a class of mnist-digits"):
            log.label({ids[2]: "1", ids[3]: "ten"})
        assert rows(path, "label") == [(None,), (None,), (2,)], "all labels or none"
        ((kept,), _) = log.label({ids[3]: "5"})
        assert kept.kept
        assert rows(path, "label")[2] == (2,)
        ((taken,), _) = log.label({ids[3]: "5"}, replace=True)
        assert not taken.kept
        assert rows(path, "label")[2] == (5,)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(LogError, match="of another version"):
        PredictionLog(path)


def test_a_place_where_nothing_can_be_written_is_one_sentence() -> None:
    with pytest.raises(
        LogError,
        match=r"^the log /proc/field\.sqlite cannot be opened \(.*\); expected a new file",
    ):
        PredictionLog("/proc/field.sqlite")
