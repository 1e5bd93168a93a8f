"""gRPC beside HTTP: real clients, the same refusals, and what hostile clients get."""

from __future__ import annotations

import dataclasses
import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from serving import Classifier
from serving.model_card import FILE, ModelCard
from serving.server.grpc_messages import CLASSES
from tests.acceptance_sets import change_card
from tests.prediction_log.conftest import send_label
from tests.record_triton import INFER, image, inputs, tensor
from tests.server import FORMAT, Server, failed
from tests.test_server_processes import serving
from tests.test_server_protocol import answers, check_kserves_client
from tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.slow

SERVICE = "/inference.GRPCInferenceService/"
MODEL = "mnist-digits"
RAW = "raw_input_contents"
TYPED = "contents"


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[Server]:
    with Server(archive, "--format", FORMAT, "--grpc-port", "0") as running:
        yield running
        assert running.process.poll() is None
        assert running.stop() == (0, "")


def call(address: str, method: str, body: bytes = b"", **options: Any) -> bytes:
    """The bytes of the response over a connection of its own. Raises grpc.RpcError."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        response: bytes = channel.unary_unary(SERVICE + method)(body, timeout=SECONDS, **options)
        return response


def refusal(address: str, method: str, body: bytes = b"", **options: Any) -> tuple[str, str]:
    """The name of the status and the sentence of a call that is refused."""
    with pytest.raises(grpc.RpcError) as refused:
        call(address, method, body, **options)
    return refused.value.code().name, refused.value.details()


def request(images: Any, way: str = RAW, **fields: Any) -> bytes:
    """An inference request; `values` and what is below may be replaced."""
    values = {"name": "image", "datatype": "UINT8", "shape": images.shape}
    if way == TYPED:
        values["contents"] = {"uint_contents": images.ravel().tolist()}
    else:
        fields.setdefault(RAW, [images.tobytes()])
    values.update(fields.pop("values", {}))
    message = {"model_name": MODEL, "inputs": [CLASSES["Values"](**values).SerializeToString()]}
    encoded: bytes = CLASSES["Request"](**{**message, **fields}).SerializeToString()
    return encoded


def infer(running: Server, body: bytes) -> Any:
    return CLASSES["Response"].FromString(call(running.grpc, "ModelInfer", body))


def wanted(name: str, **parameters: Any) -> bytes:
    entries = [parameter(key, value) for key, value in parameters.items()]
    encoded: bytes = CLASSES["Wanted"](name=name, parameters=entries).SerializeToString()
    return encoded


def parameter(key: str, value: int) -> bytes:
    encoded: bytes = CLASSES["Parameter"](key=key, value={"int64_param": value}).SerializeToString()
    return encoded


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


def with_threshold(bundle: Path, accept_from: float | None) -> Path:
    before = ModelCard.parse((bundle / FILE).read_bytes())
    files = [dataclasses.replace(file, accept_from=accept_from) for file in before.files]
    return change_card(bundle, files=files)


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


BLACK = np.zeros((1, 28, 28, 1), np.uint8)
BAD: dict[str, tuple[bytes, str, str]] = {
    "shape": (request(BLACK, values={"shape": [1, 7]}), "INVALID_ARGUMENT", "the shape of 'image'"),
    "long shape": (
        request(BLACK, values={"shape": [1] * 100_000}),
        "INVALID_ARGUMENT",
        "the shape of 'image'",
    ),
    "type": (
        request(BLACK, values={"datatype": "FP32"}),
        "INVALID_ARGUMENT",
        "the datatype of 'image' is 'FP32'; expected 'UINT8'",
    ),
    "too many images": (
        request(np.zeros((65, 28, 28, 1), np.uint8)),
        "INVALID_ARGUMENT",
        "the request has 65 images; expected 1 to 64",
    ),
    "too few bytes": (
        request(BLACK, raw_input_contents=[bytes(783)]),
        "INVALID_ARGUMENT",
        "the binary_data_size of 'image' is 783; expected 784",
    ),
    "too few values": (
        request(BLACK[:, :27], TYPED, values={"shape": [1, 28, 28, 1]}),
        "INVALID_ARGUMENT",
        "have 756 values; expected 784",
    ),
    "values of another field": (
        request(BLACK, TYPED, values={"contents": {"int_contents": [0] * 784}}),
        "INVALID_ARGUMENT",
        "have 0 values; expected 784",
    ),
    "a value that is no pixel": (
        request(BLACK.astype(np.uint32) + 256, TYPED),
        "INVALID_ARGUMENT",
        "something other than whole numbers from 0 to 255",
    ),
    "two contents": (
        request(BLACK, raw_input_contents=[bytes(784)] * 2),
        "INVALID_ARGUMENT",
        "1568 bytes follow the JSON; expected 784",
    ),
    "both contents": (
        request(BLACK, TYPED, raw_input_contents=[bytes(784)]),
        "INVALID_ARGUMENT",
        "'image' has both data and binary_data_size",
    ),
    "no input": (request(BLACK, inputs=[]), "INVALID_ARGUMENT", "the inputs are empty"),
    "another output": (
        request(BLACK, outputs=[wanted("logits")]),
        "INVALID_ARGUMENT",
        "the outputs hold 'logits'",
    ),
    "a negative count of classes": (
        request(BLACK, outputs=[wanted("probabilities", classification=-1)]),
        "INVALID_ARGUMENT",
        "classification is '-1'",
    ),
    "shared memory": (
        request(BLACK, values={"parameters": [parameter("shared_memory_region", 1)]}),
        "INVALID_ARGUMENT",
        "is in shared memory, which is not supported",
    ),
    "model": (request(BLACK, model_name="other"), "NOT_FOUND", "there is no model 'other'"),
    "no model": (request(BLACK, model_name=""), "NOT_FOUND", "there is no model ''"),
    "version": (
        request(BLACK, model_version="9"),
        "NOT_FOUND",
        "mnist-digits has no version '9'; expected '1.0.0'",
    ),
    "path": (request(BLACK, model_name="../x/infer"), "NOT_FOUND", "there is nothing at"),
    "random bytes": (b"\xff" * 100, "INVALID_ARGUMENT", "the message cannot be read"),
    "random bytes inside": (
        request(BLACK, inputs=[b"\xff"]),
        "INVALID_ARGUMENT",
        "the message cannot be read",
    ),
    "no text": (
        b"\x0a\x01\xff" + request(BLACK, model_name=""),
        "INVALID_ARGUMENT",
        "the message cannot be read",
    ),
    "too many values": (
        request(np.zeros((1, 200_000), np.uint8), TYPED),
        "RESOURCE_EXHAUSTED",
        "the JSON has more values than 64 images of 784",
    ),
    "too large": (
        request(BLACK, raw_input_contents=[bytes(9 << 20)]),
        "RESOURCE_EXHAUSTED",
        "larger than max",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_a_status_and_a_sentence(server: Server, case: str) -> None:
    body, status, sentence = BAD[case]
    code, details = refusal(server.grpc, "ModelInfer", body)
    assert code == status
    assert sentence in details
    assert "\n" not in details


def test_the_sentence_is_that_of_http(server: Server) -> None:
    headers, body = inputs(tensor(shape=[1, 7]))
    http = server.ask("POST", INFER, body, headers).json["error"]
    shape = {"shape": [1, 7]}
    assert refusal(server.grpc, "ModelInfer", request(image(1), values=shape))[1] == http


def test_an_unknown_method_is_unimplemented(server: Server) -> None:
    assert refusal(server.grpc, "ModelStreamInfer")[0] == "UNIMPLEMENTED"


def test_a_model_that_is_not_there_is_not_ready_and_has_no_metadata(server: Server) -> None:
    name = CLASSES["Name"](name="other").SerializeToString()
    assert call(server.grpc, "ModelReady", name) == b""  # false
    assert refusal(server.grpc, "ModelMetadata", name)[0] == "NOT_FOUND"


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "ModelReady", "ServerLive"])
def test_random_messages_get_a_status_that_blames_them(server: Server, method: str) -> None:
    """Bytes at random, and valid requests in which some bytes are others."""
    valid = some.sampled_from([request(BLACK, way, id="7") for way in (RAW, TYPED)])
    edits = some.lists(some.tuples(some.integers(0, 120), some.integers(0, 255)), max_size=4)

    def edited(body: bytes, changes: list[tuple[int, int]]) -> bytes:
        changed = bytearray(body)
        for place, value in changes:
            changed[place] = value
        return bytes(changed)

    bodies = some.binary(max_size=60) | some.builds(edited, valid, edits)
    with grpc.insecure_channel(server.grpc) as channel:
        ask = channel.unary_unary(SERVICE + method)

        @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
        @given(body=bodies)
        def check(body: bytes) -> None:
            try:
                ask(body, timeout=SECONDS)
            except grpc.RpcError as error:
                assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND")

        check()


def test_bytes_that_are_not_grpc_end_their_connection_only(server: Server) -> None:
    host, port = server.grpc.split(":")
    for data in (b"GET /v2 HTTP/1.1\r\nHost: test\r\n\r\n", bytes(range(256)) * 20, b"PRI * HTTP"):
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: receive(connection), b""))
        assert b"HTTP/1.1 200" not in received
    assert infer(server, request(BLACK)).model_name == MODEL


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def test_a_client_that_vanishes_costs_nobody_anything(server: Server) -> None:
    for _ in range(20):
        channel = grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)])
        grpc.channel_ready_future(channel).result(SECONDS)
        calls = [channel.unary_unary(SERVICE + "ModelInfer").future(request(BLACK)) for _ in "1234"]
        channel.close()
        assert all(each.done() for each in calls)
    assert infer(server, request(BLACK)).model_name == MODEL


def test_what_is_small_on_the_wire_stays_small(archive: Path) -> None:
    """A message that unpacks to 400 MB, and one of four million empty tensors."""
    with Server(archive, "--format", FORMAT, "--grpc-port", "0") as running:
        infer(running, request(BLACK))
        before = running.megabytes
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(running.grpc, options) as channel:
            ask = channel.unary_unary(SERVICE + "ModelInfer")
            with pytest.raises(grpc.RpcError, match="larger than max"):
                ask(bytes(400 << 20), compression=grpc.Compression.Gzip, timeout=SECONDS)
        for field in (b"\x22\x00", b"\x2a\x00", b"\x32\x00", b"\x3a\x00"):
            code, details = refusal(running.grpc, "ModelInfer", field * 4_000_000)
            assert code == "INVALID_ARGUMENT"
            assert details == ("a field of the message has 4000000 entries; expected 16 at most")
        assert running.peak_megabytes < before + 300
        assert running.stop() == (0, "")


def test_a_request_must_arrive_in_time_and_with_a_message(archive: Path) -> None:
    with Server(archive, "--format", FORMAT, "--grpc-port", "0", "--timeout", "0.5") as running:
        asked = threading.Event()

        def never() -> Iterator[bytes]:
            asked.wait(SECONDS)
            yield from ()

        with grpc.insecure_channel(running.grpc) as channel:
            stream = channel.stream_unary(SERVICE + "ModelInfer")
            with pytest.raises(grpc.RpcError) as slow:
                stream(never(), timeout=SECONDS)
            asked.set()
            with pytest.raises(grpc.RpcError) as empty:
                stream(iter(()), timeout=SECONDS)
        assert slow.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not arrive within 0.5 seconds" in slow.value.details()
        assert empty.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert empty.value.details() == "the call has no message; send one"
        assert running.stop() == (0, "")


def test_a_full_queue_is_unavailable(archive: Path) -> None:
    options = ["--max-queue", "4", "--max-images", "4", "--grpc-port", "0"]
    with Server(archive, "--format", FORMAT, *options) as running:
        body, outcomes = request(image(4)), Counter[str]()

        def send(address: str) -> None:
            try:
                call(address, "ModelInfer", body)
                outcomes["OK"] += 1
            except grpc.RpcError as error:
                assert "of at most 4 images are waiting; try again" in error.details()
                outcomes[error.code().name] += 1

        while not outcomes["UNAVAILABLE"]:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(send, repeat(running.grpc, 16)))
        assert set(outcomes) == {"OK", "UNAVAILABLE"}


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
    assert "pip install grpcio protobuf" in error


@pytest.mark.parametrize("options", [[], ["--processes", "2"]])
def test_a_port_in_use_is_one_sentence(archive: Path, options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ["--format", FORMAT, "--port", "0", "--grpc-port", port, *options]
        error = failed(archive, *arguments)
        assert f"cannot listen on 127.0.0.1 port {port}" in error
        assert "choose another with --host and --grpc-port" in error
