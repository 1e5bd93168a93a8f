"""The Open Inference Protocol's gRPC: each call is answered as its request over HTTP would be."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any, Callable, NamedTuple, Tuple

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would print what clients do wrong

import grpc.aio
from google.protobuf.message import DecodeError

from serving.errors import RequestError, ServingError
from serving.server.connection import LINGER_SECONDS
from serving.server.grpc_messages import CLASSES, request_in_json, response_from_json
from serving.server.handlers import ABOUT_TO_STOP, LENGTH_HEADER
from serving.server.json_body import parse
from serving.server.messages import Request, Response, refusal
from serving.server.service import Service

NAME = "inference.GRPCInferenceService"
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


class Method(NamedTuple):
    """What a call brings, the request over HTTP that it stands for, and what it gets.

    `path` is below that of the model where the message names one. A response with another status
    than `statuses` is an error.
    """

    message: str
    verb: str
    path: str
    answer: Callable[[Response], Any]
    statuses: Tuple[int, ...] = (200,)


def _fields(name: str) -> Callable[[Response], Any]:
    """To the message of that name, whose fields are those of the JSON."""

    def answer(response: Response) -> Any:
        fields = parse(response.body)
        fields.pop("parameters", None)  # of a model; the protocol's gRPC has none
        return CLASSES[name](**fields)

    return answer


def _ready(response: Response) -> Any:
    return CLASSES["Ready"](ready=response.status == 200)


def _index(response: Response) -> Any:
    return CLASSES["Index"](models=parse(response.body))


def _inferred(response: Response) -> Any:
    return response_from_json(response.body, int(dict(response.headers).get(LENGTH_HEADER, 0)))


NOT_READY = (200, 404, 503)
METHODS = {
    "ServerLive": Method("Nothing", "GET", "/v2/health/live", _fields("Live")),
    "ServerReady": Method("Nothing", "GET", "/v2/health/ready", _ready, NOT_READY),
    "ServerMetadata": Method("Nothing", "GET", "/v2", _fields("Server")),
    "ModelReady": Method("Name", "GET", "/ready", _ready, NOT_READY),
    "ModelMetadata": Method("Name", "GET", "", _fields("Model")),
    "ModelInfer": Method("Request", "POST", "/infer", _inferred),
    "RepositoryIndex": Method("Nothing", "POST", "/v2/repository/index", _index),
}


class GrpcServer:
    """Answers beside `event_loop.Server`, in its event loop and with its service."""

    def __init__(self, service: Service, host: str, port: int, *, shared: bool) -> None:
        """`shared`: other processes of this server listen on the port too."""
        self.service, self.limits = service, service.limits
        self.host, self.port, self._shared = f"[{host}]" if ":" in host else host, port, shared
        self._stopping = False

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self, hold: Callable[[int], int]) -> None:
        """Listens. `hold` is that of `event_loop.Server`. Raises ServingError."""
        self._hold = hold
        # A message is as large as it says only once it has arrived.
        arriving = max(1, self.limits.max_held_bytes // self.limits.max_body_bytes)
        self._arriving = asyncio.Semaphore(arriving)
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self.limits.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_idle_ms", int(1000 * self.limits.seconds_idle)),
                ("grpc.server_handshake_timeout_ms", int(1000 * self.limits.seconds_to_receive)),
                ("grpc.so_reuseport", int(self._shared)),
            ],
            maximum_concurrent_rpcs=self.limits.max_connections,
        )
        # A stream of one message is the same on the wire, and this end chooses when to read it.
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(partial(self._answer, method))
            for name, method in METHODS.items()
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(NAME, handlers),)
        )
        try:
            self.port = self._server.add_insecure_port(self.address)
        except RuntimeError:
            raise ServingError(
                f"cannot listen on {self.host} port {self.port} for gRPC; "
                "choose another with --host and --grpc-port"
            ) from None
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Refuses new calls for a moment, and gives those that have begun `seconds` to end.

        grpcio drops the calls that arrive as it stops. So clients are first sent to another server.
        """
        self._stopping = True
        await asyncio.sleep(LINGER_SECONDS)
        await self._server.stop(seconds)

    async def _answer(self, method: Method, _: object, context: Any) -> bytes:
        data = b""
        try:
            data = await self._receive(context)
            response = await self.service.respond(_request(method, data, context))
        except RequestError as error:
            self.service.metrics.requests.add(1, "none", error.status)
            response = refusal(error)
        finally:
            self._hold(-len(data))
        if response.status not in method.statuses:
            code = CODES.get(response.status, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, parse(response.body)["error"])
        message: bytes = method.answer(response).SerializeToString()
        return message

    async def _receive(self, context: Any) -> bytes:
        """The bytes of the message, which are held from then on. Raises RequestError."""
        if self._stopping:
            raise RequestError(503, ABOUT_TO_STOP)
        limit = self.limits.seconds_to_receive
        try:
            data = await asyncio.wait_for(self._read(context), limit)
        except asyncio.TimeoutError:
            sentence = f"the request did not arrive within {limit:g} seconds; send it faster"
            raise RequestError(408, sentence) from None
        if data is grpc.aio.EOF:
            raise RequestError(400, "the call has no message; send one")
        if self._hold(len(data)) > self.limits.max_held_bytes:
            self._hold(-len(data))
            raise RequestError(503, "too many large requests are held, so try again in a second")
        return data  # type: ignore[no-any-return]

    async def _read(self, context: Any) -> Any:
        async with self._arriving:
            return await context.read()


def _request(method: Method, data: bytes, context: Any) -> Request:
    """The same request over HTTP. Raises RequestError."""
    metadata = dict(context.invocation_metadata())
    headers = {b"authorization": str(metadata.get("authorization", "")).encode()}
    path, body = method.path, b""
    try:
        message = CLASSES[method.message].FromString(data)
        if method.message == "Request":
            path = _model_path(message.model_name, message.model_version) + path
            body, length = request_in_json(message)
            if message.raw_input_contents:
                headers[LENGTH_HEADER] = b"%d" % length
        elif method.message == "Name":
            path = _model_path(message.name, message.version) + path
    except DecodeError:
        raise RequestError(
            400, "the message cannot be read; expected one of the Open Inference Protocol"
        ) from None
    return Request(method.verb, path, "", headers, body)


def _model_path(name: str, version: str) -> str:
    encoded = [text.replace("/", "%2F") for text in (name, version) if text]
    return f"/v2/models/{'/versions/'.join(encoded)}"
