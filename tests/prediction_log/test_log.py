"""The log of predictions: what `serve` and `predict` write, and how labels get into it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from pipeline.field import sources
from serving import Classifier
from serving.errors import InputError, LogError
from serving.log_file import OF_CLASSES
from serving.prediction_log import PredictionLog
from tests.conftest import ROOT
from tests.prediction_log.conftest import predict, rows, send_label
from tests.server import FORMAT, Response, Server, check_openapi, environment, failed, png
from tests.triton_requests import INFER, binary, image, json_body, requested_outputs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_every_prediction_has_an_id_for_its_label(
    archive: Path, path: Path, classifier: Classifier, options: list[str]
) -> None:
    with Server(archive, "--format", FORMAT, "--log", path, "--log-images", *options) as running:
        single = predict(running)["id"]
        headers, body = binary(outputs=requested_outputs(binary_data=True))
        in_binary = running.ask("POST", INFER, body, headers)
        length = int(in_binary.headers["inference-header-content-length"])
        pair = json.loads(in_binary.body[:length])["parameters"]["prediction_id"]
        raw = running.ask(
            "POST", INFER, image(1).tobytes(), {"Inference-Header-Content-Length": "0"}
        )
        length = int(raw.headers["inference-header-content-length"])
        from_raw = json.loads(raw.body[:length])["parameters"]["prediction_id"]
        in_json = running.ask("POST", INFER, json_body(id="mine")).json
        assert in_json["id"] == "mine"
        assert list(in_json)[:4] == ["id", "model_name", "model_version", "parameters"]
        ids = (single, f"{pair}.1", from_raw, "gone")
        labels = [{"id": id_, "label": "3"} for id_ in ids]
        outcome = running.ask("POST", "/feedback", json.dumps(labels).encode())
        assert (outcome.status, outcome.json) == (200, {"labelled": 3, "unknown": ["gone"]})
        text = running.get("/metrics").body.decode()
        assert "serving_logged_images_total 6" in text
        assert 'serving_labels_total{model="mnist-digits"' in text
        assert running.stop()[0] == 0
    assert not path.with_name(f"{path.name}-wal").exists(), "the log is one file again"
    (observed,) = sources.read(path, None, archive)
    assert observed.labels.tolist() == [3, -1, 3, 3, -1, -1]
    np.testing.assert_array_equal(observed.picture(1), image(2)[0])
    np.testing.assert_array_equal(observed.predicted[1:3], classifier.predict(image(2)).argmax(1))


def test_tritons_client_reads_the_id(server: Server, classifier: Classifier) -> None:
    tensor = triton.InferInput("image", [1, 28, 28, 1], "UINT8")
    tensor.set_data_from_numpy(image(1))
    with triton.InferenceServerClient(server.url) as client:
        response = client.infer(classifier.card.name, [tensor]).get_response()
    id_ = response["parameters"]["prediction_id"]
    assert send_label(server, id_, "0").json["labelled"] == 1


def test_pixels_are_logged_only_on_request_and_without_a_log_nothing_is(
    archive: Path, server: Server, path: Path
) -> None:
    predict(server)
    assert server.stop()[0] == 0
    assert rows(path, "image, source") == [(None, None)]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (OF_CLASSES,), "older ones read"
    connection.close()
    with Server(archive, "--format", FORMAT) as running:
        assert "id" not in predict(running)
        assert "parameters" not in running.ask("POST", INFER, json_body()).json
        assert running.ask("POST", "/feedback", b'{"id":"a","label":"1"}').status == 404
        assert "/feedback" not in running.get("/openapi.json").json["paths"]


REFUSED = (
    (b"nonsense", 400, "is not JSON"),
    (b"[]", 400, "0 labels; expected 1 to 1000"),
    (b"7", 400, "an entry of the labels is a number"),
    (b'{"id": 7, "label": "1"}', 400, "the id is a number; expected a string"),
    (b'{"id": "x", "label": true}', 400, "the label is a boolean; expected a string, an array"),
    (b'{"id": "x", "label": null}', 400, "the label is null; expected a string, an array"),
    (b'{"id": "x", "label": ["a", 1]}', 400, "the label is a number; expected a string"),
    (b'{"id": "x", "label": [["a"]]}', 400, "the label is an array; expected a string"),
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
    (b"[" * 100_000, 413, "more than 65,024 values"),
    (b'{"id": "other", "label": "1"}', 404, "holds no prediction 'other'"),
    (b'{"id": "a\\u0000b", "label": "1"}', 404, "holds no prediction"),
)


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_invalid_feedback_is_refused(archive: Path, path: Path, options: list[str]) -> None:
    """With msgspec, and with the standard library's parser where msgspec is not installed."""
    python = f"{sys.prefix}/runtimes/onnxruntime/bin/python" if options else sys.executable
    with Server(archive, "--format", FORMAT, "--log", path, *options, python=python) as server:
        id_ = predict(server)["id"]
        many = json.dumps([{"id": id_, "label": "1"}] * 1001).encode()
        ten = json.dumps({"id": id_, "label": "ten"}).encode()
        others = [json.dumps({"id": id_, "label": label}).encode() for label in (1, ["1"])]
        for body, status, sentence in (
            *REFUSED,
            (ten, 400, "'ten' is not a class"),
            (others[0], 400, "1 is not a class of mnist-digits; expected one of 0, 1"),
            (others[1], 400, "['1'] is not a class of mnist-digits"),
            (many, 400, "1001 labels"),
        ):
            refused = server.ask("POST", "/feedback", body)
            assert (refused.status, list(refused.json)) == (status, ["error"]), (
                body[:50],
                refused.body,
            )
            assert sentence in refused.json["error"]
        assert server.ask("GET", "/feedback").status == 405


def test_ids_are_random(server: Server) -> None:
    ids = [predict(server)["id"] for _ in range(50)]
    assert all(len(id_) == 32 for id_ in ids)
    bits = np.unpackbits(
        np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(50, 16), axis=1
    )
    assert (bits.std(axis=0) > 0).all(), "every bit varies"
    for first, second in itertools.combinations(bits, 2):
        assert 30 < (first != second).sum() < 98, "as 128 coin tosses do"


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_the_first_label_is_kept_unless_labels_may_be_replaced(
    archive: Path, path: Path, options: list[str]
) -> None:
    def label(server: Server, *labels: tuple[str, str]) -> Response:
        entries = [{"id": id_, "label": label} for id_, label in labels]
        return server.ask("POST", "/feedback", json.dumps(entries).encode())

    with Server(archive, "--format", FORMAT, "--log", path, *options) as server:
        first, second = (predict(server)["id"] for _ in range(2))
        assert label(server, (first, "3")).json == {"labelled": 1, "unknown": []}
        # A client may repeat a label when it has lost the response.
        assert label(server, (first, "3")).status == 200
        refused = label(server, (first, "4"))
        assert refused.status == 409
        assert f"'{first}' has another label already" in refused.json["error"]
        outcome = label(server, (first, "4"), (second, "5")).json
        assert outcome == {"labelled": 1, "unknown": [], "kept": [first]}
        # The repeated label counts once.
        assert 'right="false"} 2' in server.get("/metrics").body.decode()
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
    {"Origin": "http://127.0.0.1:1"},  # another port is another origin
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
    # DNS rebinding: a page's own name that resolves to this machine.
    {"Host": "evil.example", "Origin": "http://evil.example"},
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
        id_ = predict(server)["id"]
        body = json.dumps({"id": id_, "label": "3"}).encode()
        writes = {"/feedback": body, "/predict": png(image(1)), INFER: json_body()}
        for headers in FOREIGN:
            for address, content in writes.items():
                refused = server.ask("POST", address, content, headers)
                assert (refused.status, list(refused.json)) == (403, ["error"]), (address, headers)
        # Feedback checks the Host of every client.
        assert server.ask("POST", "/feedback", body, {"Host": "evil.example"}).status == 403
        absolute = b"POST http://evil.example/feedback HTTP/1.1\r\nHost: localhost\r\n"
        absolute += b"Content-Length: 2\r\n\r\n{}"
        assert server.send(absolute).startswith(b"HTTP/1.1 403")
        # No browser sends a request without Origin and Sec-Fetch-Site here.
        assert server.ask("POST", INFER, json_body(), {"Host": "any.name"}).status == 200
        here = f"127.0.0.1:{server.port}"
        for headers in (
            {},
            {"Origin": f"http://{here}"},
            {"Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"},
            {"Host": "[::1]", "Origin": "http://[::1]:80"},
            {"Host": "models.example", "Origin": "https://models.example"},
            {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
            {"Host": "MODELS.example:8000"},
        ):
            for address, content in writes.items():
                assert server.ask("POST", address, content, headers).status == 200, (
                    address,
                    headers,
                )


def test_the_feedback_is_what_openapi_says(server: Server, tmp_path: Path) -> None:
    assert "Tested: 1" in check_openapi(server, tmp_path, "--include-path", "/feedback")


def test_predict_logs_its_pictures(archive: Path, path: Path, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(png(image(3)[index]))
    pictures = [str(tmp_path / f"{index}.png") for index in range(3)]
    command = [sys.executable, "-m", "serving", "predict", str(archive), *pictures]
    command += ["--format", FORMAT, "--output", "csv", "--log", str(path), "--log-limit", "2"]
    process = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment()
    )
    printed = list(csv.DictReader(io.StringIO(process.stdout)))
    assert rows(path, "id, source") == [(row["id"], row["picture"]) for row in printed[1:]]


def test_the_log_does_not_grow_beyond_its_limit(path: Path, classifier: Classifier) -> None:
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


def test_python_adds_labels_by_id_and_wrong_ones_are_refused(
    path: Path, classifier: Classifier
) -> None:
    with PredictionLog(path, limit=3) as log:
        ids = log.add(classifier, image(4), classifier.predict(image(4)))
        labelled, unknown = log.label({ids[0]: "1", ids[3]: "2"})
        assert (len(labelled), unknown) == (1, [ids[0]]), "the oldest was deleted at the limit"
        with pytest.raises(InputError, match="'ten' is not a class of mnist-digits"):
            log.label({ids[2]: "1", ids[3]: "ten"})
        assert rows(path, "label") == [(None,), (None,), (2,)], "all labels or none"
        ((refused,), _) = log.label({ids[3]: "5"})
        assert refused.kept
        assert rows(path, "label")[2] == (2,)
        ((replaced,), _) = log.label({ids[3]: "5"}, replace=True)
        assert not replaced.kept
        assert rows(path, "label")[2] == (5,)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(LogError, match="of another version"):
        PredictionLog(path)
