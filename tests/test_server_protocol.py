"""The Open Inference Protocol: real clients, and the recorded responses of a real Triton."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import uv

from serving import Classifier
from serving.bundle import Bundle
from tests.conftest import ROOT
from tests.server import FORMAT, Server, check_openapi, rename
from tests.triton_requests import image, requests

pytestmark = pytest.mark.slow

ANSWERS = json.loads((ROOT / "tests/triton_answers.json").read_text(encoding="utf-8"))
# Fields that hold names, in which we differ from Triton.
NAMES = ("name", "version", "versions", "platform", "extensions", "model_name", "model_version")


@pytest.fixture
def images() -> Any:
    return image(3)


@pytest.mark.parametrize("case", ANSWERS)
def test_the_response_is_that_of_triton(
    each_server: Server, case: str, classifier: Classifier
) -> None:
    """Keys, their order, types, shapes and sizes are Triton's; names, versions and errors are ours.

    A bad request gets 4xx, even where Triton answers 500.
    """
    method, path, headers, body = requests()[case]
    theirs = ANSWERS[case]
    ours = each_server.ask(
        method, path.replace("mnist-digits", classifier.card.name), body or None, headers
    )
    if theirs["status"] >= 400 or case == "two outputs of one name":  # Triton accepts these
        assert ours.status in (theirs["status"], 400), ours.body
        assert 400 <= ours.status < 500
        assert list(ours.json) == ["error"]
        return
    assert ours.status == theirs["status"] == 200
    if case in ("live", "ready", "model ready"):
        return  # Triton's bodies are empty; KServe's client reads ours
    for name in ("content-type", "content-encoding"):
        assert ours.headers.get(name) == theirs["headers"].get(name)
    length = "inference-header-content-length"
    assert described(ours.headers.get(length), ours.body, classifier) == described(
        theirs["headers"].get(length), theirs["body"].encode("latin-1")
    )


def described(length: str | None, body: bytes, classifier: Classifier | None = None) -> Any:
    """The response without what may differ: values, and the names of server, model and version.

    Checks the values if there is a classifier to check them against.
    """
    end = len(body) if length is None else int(length)
    head, tail = json.loads(body[:end]), body[end:]
    for field in NAMES:
        if field in head:
            head[field] = None
    for output in head.get("outputs", []):
        if "data" in output or tail:
            check_values(output, tail, classifier)
            output["data"] = [type(value).__name__ for value in output.get("data", [])]
            if output["datatype"] == "BYTES":  # ours contain the name of the class as well
                output.get("parameters", {}).pop("binary_data_size", None)
    return json.dumps(head)


def check_values(output: dict[str, Any], tail: bytes, classifier: Classifier | None) -> None:
    assert not tail or output["parameters"]["binary_data_size"] == len(tail)
    values: Any = output.get("data")
    if not values:
        is_text = output["datatype"] == "BYTES"
        values = texts(tail) if is_text else np.frombuffer(tail, "<f4").tolist()
    assert len(values) == math.prod(output["shape"])
    if output["datatype"] == "BYTES":
        assert all(re.fullmatch(r"0\.\d{6}:\d(:\w+)?", value) for value in values)
    elif classifier:
        expected = classifier.predict(image(output["shape"][0]))
        np.testing.assert_allclose(values, expected.ravel(), atol=1e-6)


def texts(tail: bytes) -> list[str]:
    """The strings of a BYTES tensor, each behind its length."""
    strings, position = [], 0
    while position < len(tail):
        size = int.from_bytes(tail[position : position + 4], "little")
        strings.append(tail[position + 4 : position + 4 + size].decode())
        position += 4 + size
    return strings


def test_tritons_client_gets_the_probabilities_in_every_way_it_knows(
    each_server: Server, classifier: Classifier, images: Any
) -> None:
    name, version = classifier.card.name, classifier.card.version
    expected = classifier.predict(images)
    many = np.concatenate([images] * 20)
    with triton.InferenceServerClient(each_server.url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, version)
        assert not client.is_model_ready("other")
        assert not client.is_model_ready(name, "other")
        assert client.get_server_metadata()["name"] == "serving"
        assert client.get_model_metadata(name, version)["inputs"] == [
            {"name": "image", "datatype": "UINT8", "shape": [-1, *classifier.card.input_shape]}
        ]
        assert client.get_model_repository_index() == [
            {"name": name, "version": version, "state": "READY", "reason": ""}
        ]
        compressions = (None, "gzip", "deflate")
        ways = itertools.product((False, True), (False, True, None), compressions, compressions)
        for binary_in, binary_out, sent_as, answered_as in ways:
            tensor = triton.InferInput("image", list(many.shape), "UINT8")
            tensor.set_data_from_numpy(many, binary_data=binary_in)
            outputs = None
            if binary_out is not None:
                outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_out)]
            result = client.infer(
                name,
                [tensor],
                model_version=version,
                outputs=outputs,
                request_id="7",
                request_compression_algorithm=sent_as,
                response_compression_algorithm=answered_as,
            )
            np.testing.assert_allclose(result.as_numpy("probabilities")[:3], expected, atol=1e-6)
            assert result.get_response()["id"] == "7"
        tensor.set_data_from_numpy(many)
        two_classes = triton.InferRequestedOutput("probabilities", class_count=2)
        result = client.infer(name, [tensor], outputs=[two_classes])
        index = int(expected[0].argmax())
        likeliest = result.as_numpy("probabilities")[0, 0].decode()
        assert likeliest.split(":")[1:] == [str(index), classifier.card.class_names[index]]
        with pytest.raises(triton.InferenceServerException, match="there is no model 'other'"):
            client.infer("other", [tensor])


def test_kserves_client_gets_the_probabilities_in_every_way_it_knows(
    server: Server, classifier: Classifier, images: Any, tmp_path: Path
) -> None:
    check_kserves_client(f"http://{server.url}", classifier, images, tmp_path)


def check_kserves_client(address: str, classifier: Classifier, images: Any, tmp_path: Path) -> None:
    results = answers("tests/kserve_client.py", address, classifier.card.name, images, tmp_path)
    assert results.pop("live")
    assert results.pop("ready")
    assert results.pop("model ready")
    assert not results.pop("other ready")
    assert len(results) == 4
    for values in results.values():
        np.testing.assert_allclose(values, classifier.predict(images), atol=1e-6)


def answers(script: str, address: str, model: str, images: Any, tmp_path: Path) -> Any:
    """What a client prints that runs in an environment of its own."""
    np.save(tmp_path / "images.npy", images)
    command = [uv.find_uv_bin(), "run", "--quiet", "--script", script, address, model]
    command.append(str(tmp_path / "images.npy"))
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_the_server_does_what_its_openapi_says(server: Server, tmp_path: Path) -> None:
    assert "Tested: 16" in check_openapi(server, tmp_path)


def test_a_response_is_compressed_as_the_client_accepts(each_server: Server) -> None:
    uncompressed = each_server.get("/openapi.json").body
    for accepted, decompress in (
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("br, gzip;q=0, deflate;q=0.5", zlib.decompress),
    ):
        response = each_server.ask("GET", "/openapi.json", headers={"Accept-Encoding": accepted})
        assert response.headers["content-encoding"] in accepted
        assert decompress(response.body) == uncompressed
    refusing = {"Accept-Encoding": "br, gzip;q=0"}
    response = each_server.ask("GET", "/openapi.json", headers=refusing)
    assert "content-encoding" not in response.headers


def test_metrics_count_requests_images_and_batches(server: Server, classifier: Classifier) -> None:
    method, path, headers, body = requests()["binary to binary"]
    assert server.ask(method, path, body, headers).status == 200
    text = server.get("/metrics").body.decode()
    values = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))
    assert len(values) == len([line for line in text.splitlines() if not line.startswith("#")])
    model = f'model="{classifier.card.name}"'
    assert float(values['serving_requests_total{route="infer",status="200"}']) >= 1
    assert (
        float(values[f'serving_images_total{{{model},version="{classifier.card.version}"}}']) >= 2
    )
    assert values[f"serving_waiting_images{{{model}}}"] == "0"
    assert float(values[f"serving_batch_images_sum{{{model}}}"]) >= 2
    assert float(values['serving_request_seconds_count{route="infer"}']) == float(
        values['serving_request_seconds_bucket{route="infer",le="+Inf"}']
    )


def test_one_server_serves_two_models_each_from_its_own_bundle(archive: Path, bundle: Path) -> None:
    with Server(archive, rename(bundle, "second"), "--format", FORMAT) as running:
        names = [entry["name"] for entry in running.ask("POST", "/v2/repository/index").json]
        assert len(names) == 2
        _, path, headers, body = requests()["binary to json"]
        for name in names:
            answer = running.ask("POST", path.replace("mnist-digits", name), body, headers)
            assert answer.json["model_name"] == name


BARE_SESSION = """
import sys, numpy, onnxruntime, psutil
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(["probabilities"], {"image": numpy.zeros((1, 28, 28, 1), numpy.uint8)})
print(psutil.Process().memory_info().rss / 1e6)
"""


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_ready_within_a_second_and_a_half_in_little_memory(
    archive: Path, bundle: Path, runtime: str
) -> None:
    """The best of three starts, in time of the processor, since other work can only slow one down.

    How much of ONNX Runtime's library counts as resident varies by 6 MB with the kernel's page
    cache, so that its server is compared with a bare session on the same machine.
    """
    method, path, headers, body = requests()["binary to binary"]
    seconds, megabytes = [], []
    for _ in range(3):
        with Server(archive, "--runtime", runtime) as running:
            assert running.ask(method, path, body, headers).status == 200
            seconds.append(running.seconds_to_ready)
            megabytes.append(running.megabytes)
    assert min(seconds) < 1.5
    if runtime == "litert":
        assert min(megabytes) < 80
    else:
        bare = subprocess.check_output(
            [sys.executable, "-c", BARE_SESSION, bundle / "onnx_float32.onnx"], text=True
        )
        assert min(megabytes) - float(bare) < 25


def test_the_bundle_holds_the_servers_packages_pinned_by_their_hashes(archive: Path) -> None:
    text = Bundle(archive).read("requirements/http.txt").decode()
    pinned = re.findall(r"^([\w-]+)==.*\n +--hash=sha256:", text, re.MULTILINE)
    assert {"msgspec", "uvloop"} <= set(pinned)
    assert "numpy" not in pinned, "the runtime's requirements pin it"


def test_other_http_requests_are_answered_or_refused(server: Server) -> None:
    head = server.ask("HEAD", "/v2")
    assert (head.status, head.body) == (200, b"")
    options = server.ask("OPTIONS", "/predict")
    assert (options.status, options.headers["allow"]) == (405, "POST")
    upgrade = b"GET /v2 HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    for request in (
        upgrade,
        b"GET http://test/v2 HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /v2 HTTP/1.0\r\n\r\n",
    ):
        assert server.send(request).startswith(b"HTTP/1.1 200 OK\r\n"), request
    for request in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n",
    ):
        answer = server.send(request)
        assert answer.startswith(b"HTTP/1.1 4"), request
        assert b'{"error":"' in answer
    expect = {"Expect": "100-continue"}
    method, path, headers, body = requests()["binary to json"]
    assert server.ask(method, path, body, {**headers, **expect}).status == 200
