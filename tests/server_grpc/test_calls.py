"""gRPC beside HTTP: real clients, token, log and metrics, processes, start and end."""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from serving import Classifier
from serving.server.grpc_messages import CLASSES
from tests.acceptance_sets import with_threshold
from tests.prediction_log.conftest import send_label
from tests.server import FORMAT, Server, failed
from tests.server_grpc.calls import (
    BLACK,
    MODEL,
    RAW,
    SERVICE,
    TYPED,
    call,
    infer,
    refusal,
    request,
    wanted,
)
from tests.test_server_processes import serving
from tests.test_server_protocol import answers, check_kserves_client
from tests.triton_requests import image
from tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.slow


def test_tritons_client_gets_over_grpc_what_it_gets_over_http(
    server: Server, classifier: Classifier, tmp_path: Path
) -> None:
    images = image(3)
    expected = classifier.predict(images)
    results = answers("tests/triton_client.py", server.grpc, MODEL, images, tmp_path)
    http = server.get(f"/v2/models/{MODEL}").json
    for each in (*http["inputs"], *http["outputs"]):
        each["shape"] = [*map(str, each["shape"])]  # as protobuf writes 64 bits in JSON
    assert results["live"]
    assert results["ready"] == [True, True, True, False, False]
    assert results["server"] == server.get("/v2").json
    assert results["model"] == http
    (indexed,) = server.ask("POST", "/v2/repository/index").json
    assert results["index"] == {"models": [{k: v for k, v in indexed.items() if v}]}
    assert len(results["probabilities"]) == 6
    for values in results["probabilities"]:
        np.testing.assert_allclose(values, expected, atol=1e-6)
    index = int(expected[0].argmax())
    assert results["likeliest"].split(":")[1:] == [str(index), classifier.card.class_names[index]]
    assert results["unknown"] == [
        "StatusCode.NOT_FOUND",
        "there is no model 'other'; expected 'mnist-digits'",
    ]


def test_kserves_client_gets_the_probabilities_in_every_way_it_knows(
    server: Server, classifier: Classifier, tmp_path: Path
) -> None:
    check_kserves_client(server.grpc, classifier, image(3), tmp_path)


def test_the_answer_has_all_outputs_in_the_form_of_the_request_also_after_a_reload(
    bundle: Path,
) -> None:
    """The bundle first rejects images below a threshold, so that it has an output `class`."""
    with Server(with_threshold(bundle, 0.3), "--format", FORMAT, "--grpc-port", "0") as running:
        images = image(3)
        expected = Classifier.load(bundle, FORMAT).predict(images)
        for way in (RAW, TYPED):
            response = infer(running, request(images, way, id="7", model_version="1.0.0"))
            assert response.model_name == MODEL
            assert (response.model_version, response.id) == ("1.0.0", "7")
            described = [(each.name, each.datatype, list(each.shape)) for each in response.outputs]
            assert described == [("probabilities", "FP32", [3, 10]), ("class", "INT32", [3])]
            probabilities, classes = decoded(response, way)
            np.testing.assert_allclose(probabilities, expected.ravel(), atol=1e-6)
            accepted = expected.max(1) >= np.float32(0.3)
            assert classes == np.where(accepted, expected.argmax(1), -1).tolist()
        with_threshold(bundle, None)
        wait_for(lambda: len(infer(running, request(images)).outputs) == 1)


def decoded(response: Any, way: str) -> tuple[Any, list[int]]:
    """The probabilities, and the number of each class."""
    if way == RAW:
        probabilities, classes = response.raw_output_contents
        return np.frombuffer(probabilities, "<f4"), np.frombuffer(classes, "<i4").tolist()
    assert not response.raw_output_contents
    of_probabilities, of_class = (output.contents for output in response.outputs)
    return np.array(of_probabilities.fp32_contents), list(of_class.int_contents)


@pytest.mark.parametrize("way", [RAW, TYPED])
def test_a_request_names_an_output_and_a_count_of_classes(server: Server, way: str) -> None:
    outputs = [wanted("probabilities", classification=2)]
    response = infer(server, request(image(1), way, outputs=outputs))
    (output,) = response.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [1, 2])
    raw = way == RAW
    text = response.raw_output_contents[0][4:] if raw else output.contents.bytes_contents[0]
    assert re.match(rb"0\.\d{6}:\d:\d", text)


def test_with_a_token_only_health_is_open(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    options = ["--grpc-port", "0", "--token-file", str(tmp_path / "token")]
    with Server(archive, "--format", FORMAT, *options) as running:
        assert CLASSES["Live"].FromString(call(running.grpc, "ServerLive")).live
        assert CLASSES["Ready"].FromString(call(running.grpc, "ServerReady")).ready
        name = CLASSES["Name"](name=MODEL).SerializeToString()
        bodies = {"ModelInfer": request(BLACK), "ModelReady": name, "ModelMetadata": name}
        for method in (*bodies, "ServerMetadata", "RepositoryIndex"):
            body = bodies.get(method, b"")
            for metadata in ([], [("authorization", "Bearer wrong")], [("authorization-bin", b"")]):
                code, details = refusal(running.grpc, method, body, metadata=metadata)
                assert code == "UNAUTHENTICATED"
                assert "send the header Authorization: Bearer TOKEN" in details
            assert call(
                running.grpc, method, body, metadata=[("authorization", "Bearer open sesame")]
            )


def test_a_prediction_is_counted_and_logged_and_takes_a_label(
    archive: Path, tmp_path: Path
) -> None:
    options = ["--grpc-port", "0", "--log", str(tmp_path / "log.sqlite")]
    with Server(archive, "--format", FORMAT, *options) as running:
        response = infer(running, request(BLACK))
        (entry,) = response.parameters
        assert entry.key == "prediction_id"
        assert send_label(running, entry.value.string_param, "3").status == 200
        text = running.get("/metrics").body.decode()
        assert 'serving_requests_total{route="infer",status="200"} 1' in text
        assert f'serving_images_total{{model="{MODEL}",version="1.0.0"}} 1' in text


def test_processes_share_the_port_and_the_loss_of_one_costs_little(archive: Path) -> None:
    with Server(archive, "--format", FORMAT, "--grpc-port", "0", "--processes", "2") as running:
        before = serving(running)
        wait_for(lambda: all(answers_grpc(process, running) for process in before))
        before[0].kill()
        assert answered_by_one_of_three(lambda: infer(running, request(BLACK)))
        wait_for(lambda: before[0] not in serving(running))
        for process in serving(running):
            wait_for(partial(answers_grpc, process, running))
        code, errors = running.stop()
        assert code == 0
        assert "another one starts" in errors
        assert "Traceback" not in errors


def answers_grpc(process: psutil.Process, running: Server) -> bool:
    """Whether the kernel gives this process the connection of a call."""
    address = tuple(running.grpc.split(":"))
    with grpc.insecure_channel(running.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        channel.unary_unary(SERVICE + "ModelInfer")(request(BLACK), timeout=SECONDS)
        return any(
            entry.status == psutil.CONN_ESTABLISHED and str(entry.laddr.port) == address[1]
            for entry in process.net_connections("tcp")
        )


def answered_by_one_of_three(ask: Callable[[], Any]) -> bool:
    for _ in range(3):
        try:
            return bool(ask().model_name == MODEL)
        except grpc.RpcError:
            continue
    return False


@pytest.mark.parametrize("options", [[], ["--plain"], ["--processes", "2"]])
def test_sigterm_drains_and_then_sends_clients_away(archive: Path, options: list[str]) -> None:
    ends, lost, answered = Counter[str](), Counter[str](), Counter[int]()

    def send_requests(number: int, address: str) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            ask = channel.unary_unary(SERVICE + "ModelInfer")
            try:
                while True:
                    ask(request(BLACK), timeout=SECONDS)
                    answered[number] += 1
            except grpc.RpcError as error:
                ends[error.details()] += 1
                lost[error.code().name] += 1

    arguments = ["--grpc-port", "0", "--drain", "0.5", *options]
    with Server(archive, "--format", FORMAT, *arguments) as running:
        threads = [
            threading.Thread(target=send_requests, args=(number, running.grpc))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answered) == 4)
        running.signal(signal.SIGTERM)
        with grpc.insecure_channel(running.grpc) as channel:
            ready = channel.unary_unary(SERVICE + "ServerReady")
            wait_for(lambda: ready(b"", timeout=SECONDS) == b"", every=0.01)
        assert running.process.wait(SECONDS) == 0
        for thread in threads:
            thread.join()
        assert running.stop() == (0, "")
    assert lost == {"UNAVAILABLE": 4}
    assert ends == {"the server is about to stop, so ask another one": 4}


def test_without_its_packages_one_sentence_names_the_cure(archive: Path) -> None:
    python = Path(sys.prefix) / "runtimes/onnxruntime/bin/python"
    error = failed(archive, "--format", FORMAT, "--port", "0", "--grpc-port", "0", python=python)
    assert "--grpc-port needs grpcio and protobuf" in error
    assert "install requirements/grpc.txt of the bundle" in error


@pytest.mark.parametrize("options", [[], ["--processes", "2"]])
def test_a_port_in_use_is_one_sentence(archive: Path, options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ["--format", FORMAT, "--port", "0", "--grpc-port", port, *options]
        error = failed(archive, *arguments)
        assert f"cannot listen on 127.0.0.1 port {port}" in error
        assert "choose another with --host and --grpc-port" in error
