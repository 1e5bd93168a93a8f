"""What bad requests and hostile clients get over gRPC: a status and a sentence."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from serving.server.grpc_messages import CLASSES
from tests.server import FORMAT, Server
from tests.server_grpc.calls import (
    BLACK,
    MODEL,
    RAW,
    SERVICE,
    TYPED,
    call,
    infer,
    parameter,
    refusal,
    request,
    wanted,
)
from tests.triton_requests import INFER, image, inputs, tensor
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow


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
    "path": (request(BLACK, model_name="../x/infer"), "NOT_FOUND", "there is no model"),
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


@pytest.mark.parametrize("name", ["other", f"{MODEL}/ready", f"{MODEL}/versions/1.0.0"])
def test_a_model_that_is_not_there_is_not_ready_and_has_no_metadata(
    server: Server, name: str
) -> None:
    """A slash in a name does not lead to another path of HTTP."""
    body = CLASSES["Name"](name=name).SerializeToString()
    assert call(server.grpc, "ModelReady", body) == b""  # false
    refused = refusal(server.grpc, "ModelMetadata", body)
    assert refused[0] == "NOT_FOUND"
    assert refused[1].startswith("there is no model")
    assert refusal(server.grpc, "ModelInfer", request(BLACK, model_name=name)) == refused


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
        timed_out = threading.Event()

        def never() -> Iterator[bytes]:
            timed_out.wait(SECONDS)
            yield from ()

        with grpc.insecure_channel(running.grpc) as channel:
            stream = channel.stream_unary(SERVICE + "ModelInfer")
            with pytest.raises(grpc.RpcError) as slow:
                stream(never(), timeout=SECONDS)
            timed_out.set()
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
