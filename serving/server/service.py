"""From a request to its answer, whatever carries the two: routes, errors, metrics."""

from __future__ import annotations

import asyncio
import hmac
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, quote

from serving import photo
from serving.errors import InputError, RequestError
from serving.server import VERSION, files, openapi, protocol
from serving.server.compression import compress, decompress
from serving.server.limits import Limits
from serving.server.metrics import CONTENT_TYPE, Gauge, Metrics
from serving.server.models import Models, Served

if TYPE_CHECKING:
    from serving.server.log import LogWriter

PAGE = Path(__file__).parent / "page.html"
LENGTH_HEADER = b"inference-header-content-length"
OPEN = ("live", "ready")  # routes that need no token, because what starts and stops servers asks them


@dataclass(frozen=True)
class Request:
    """`path` is decoded, `headers` are lower-case names and their last values."""

    method: str
    path: str
    query: str
    headers: Dict[bytes, bytes]
    body: bytes

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: List[Tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """`name` is the route's in the metrics."""

    name: str
    method: str
    answer: Callable[[Request], Awaitable[Answer]]


class Service:
    def __init__(
        self, models: Models, limits: Limits, metrics: Metrics, token: Optional[str] = None, log: Optional[LogWriter] = None
    ) -> None:
        self.models, self.limits, self.metrics, self.log = models, limits, metrics, log
        self.draining = False
        self._token = token.encode() if token else None
        self._pictures, self._reader = 0, ThreadPoolExecutor(1)  # a large picture takes some eighty megabytes while it is read
        self._fixed = {
            "/": Route("start", "GET", self._start),
            "/docs": Route("page", "GET", self._page),
            "/openapi.json": Route("openapi", "GET", self._openapi),
            "/metrics": Route("metrics", "GET", self._metrics),
            "/predict": Route("predict", "POST", self._predict),
            "/feedback": Route("feedback", "POST", self._feedback),
            "/v2": Route("server", "GET", self._server),
            "/v2/health/live": Route("live", "GET", self._live),
            "/v2/health/ready": Route("ready", "GET", self._ready),
            "/v2/repository/index": Route("index", "POST", self._index),
        }
        waiting = Gauge("serving_waiting_images", "Images that wait for a model.", ("model",), models.waiting)
        metrics.all.append(waiting)

    async def answer(self, request: Request) -> Answer:
        """The answer to any request; it never raises."""
        start, name = time.perf_counter(), "none"
        try:
            route = self.route(request.path)
            name = route.name
            self.admit(request, route)
            answer = await route.answer(request)
        except RequestError as error:
            answer = refusal(error)
        except Exception as error:  # a fault of ours must neither end the server nor show its inside
            print(f"error: {request.method} {name}: {error!r}", file=sys.stderr)
            answer = refusal(RequestError(500, "the server failed on this request"))
        answer.body, encoding = compress(answer.body, request.header(b"accept-encoding"))
        if encoding:
            answer.headers.append((b"content-encoding", encoding.encode()))
        self.metrics.requests.add(1, name, answer.status)
        self.metrics.seconds.observe(time.perf_counter() - start, name)
        return answer

    def route(self, path: str) -> Route:
        """Raises RequestError where there is none."""
        fixed = self._fixed.get(path if path == "/" else path.rstrip("/"))
        if fixed:
            return fixed
        parts = path.split("/")[1:]
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            name, version, rest = parts[2], None, parts[3:]
            if len(rest) > 1 and rest[0] == "versions":
                version, rest = rest[1], rest[2:]
            served = partial(self.models.find, name, version)
            if rest == ["infer"]:
                return Route("infer", "POST", lambda request: self._infer(request, served()))
            if rest == ["ready"]:
                return Route("model_ready", "GET", lambda request: self._model_ready(served()))
            if not rest:
                return Route("model", "GET", lambda request: _json(protocol.metadata(served().model.signature)))
        if parts[:1] == ["bundles"] and len(parts) > 2:
            return Route("file", "GET", lambda request: self._file(self.models.find(parts[1]), "/".join(parts[2:]), request))
        raise RequestError(404, f"there is nothing at {path[:80]!r}; /openapi.json tells what there is")

    def admit(self, request: Request, route: Route) -> None:
        """Raises RequestError for a method or a token that is not allowed here."""
        if request.method != route.method and (request.method, route.method) != ("HEAD", "GET"):
            allowed = (b"allow", b"GET, HEAD" if route.method == "GET" else b"POST")
            raise RequestError(405, f"{request.method[:20]} is not allowed here; allowed is {route.method}", allowed)
        if self._token and route.name not in OPEN:
            given = request.headers.get(b"authorization", b"")
            if given[:7].lower() != b"bearer " or not hmac.compare_digest(given[7:].strip(), self._token):
                sentence = "the request has no valid token; send the header Authorization: Bearer TOKEN"
                raise RequestError(401, sentence, (b"www-authenticate", b"Bearer"))

    async def _infer(self, request: Request, served: Served) -> Answer:
        model, headers = served.model, request.headers
        body = decompress(request.body, request.header(b"content-encoding").strip().lower(), self.limits.max_body_bytes)
        length = request.header(LENGTH_HEADER).strip() if LENGTH_HEADER in headers else None
        inference = protocol.decode(body, length, model.signature)
        probabilities = await served.queue.submit(model, inference.images)
        self.metrics.images.add(len(probabilities), model.signature.name, model.signature.version)
        prediction_id = self.log.add(model.classifier, inference.images, probabilities) if self.log else None
        body, json_length = protocol.encode(inference, probabilities, model.signature, prediction_id)
        if json_length is None:
            return Answer(200, body)
        return Answer(200, body, b"application/octet-stream", [(LENGTH_HEADER, b"%d" % json_length)])

    async def _predict(self, request: Request) -> Answer:
        served = self._chosen(request.query)
        model = served.model
        if request.header(b"content-type").lower().startswith("multipart/"):
            raise RequestError(415, "the body is a form; send the picture itself, as `curl --data-binary @picture.png` does")
        body = decompress(request.body, request.header(b"content-encoding").strip().lower(), self.limits.max_body_bytes)
        if self._pictures >= self.limits.max_pictures:
            raise RequestError(503, f"{self._pictures} pictures are being read already, so try again in a second")
        self._pictures += 1
        try:
            read = partial(photo.read, body, model.classifier.card, ("PNG", "JPEG"), self.limits.max_pixels)
            image = await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except InputError as error:
            raise RequestError(400, str(error)) from None
        finally:
            self._pictures -= 1
        probabilities = await served.queue.submit(model, image[None])
        row, names = probabilities[0], model.signature.class_names
        self.metrics.images.add(1, model.signature.name, model.signature.version)
        prediction_id = self.log.add(model.classifier, image[None], probabilities) if self.log else None
        return await _json(
            {
                **({} if prediction_id is None else {"id": prediction_id}),
                "model": model.signature.name,
                "version": model.signature.version,
                "class": names[int(row.argmax())],
                "probabilities": dict(zip(names, row.tolist())),
            }
        )

    async def _feedback(self, request: Request) -> Answer:
        if self.log is None:
            raise RequestError(404, "this server keeps no log that labels could go to; start it with --log FILE")
        body = decompress(request.body, request.header(b"content-encoding").strip().lower(), self.limits.max_body_bytes)
        noted = await self.log.label(protocol.decode_labels(body, self.limits.max_labels))
        if not noted["labelled"]:
            raise RequestError(404, f"the log holds no prediction {noted['unknown'][0][:80]!r}; the oldest fall out of it")
        return await _json(noted)

    def _chosen(self, query: str) -> Served:
        """The bundle that `?model=NAME` names, or the first."""
        try:
            names = parse_qs(query, keep_blank_values=True, max_num_fields=16).get("model", [])
        except ValueError:
            raise RequestError(400, "the query has more than 16 fields; allowed is model=NAME") from None
        return self.models.find(names[0]) if names else self.models.first()

    async def _start(self, request: Request) -> Answer:
        """The page of the only bundle; where there are several, or none with a page, what is served here."""
        signatures, pages = self.models.signatures(), self.models.pages()
        if len(signatures) > 1 or not pages:
            return await self._page(request)
        return Answer(307, b"", headers=[(b"location", f"/bundles/{quote(pages[0])}/{files.FOLDER}".encode())])

    async def _file(self, served: Served, name: str, request: Request) -> Answer:
        known = served.model.files
        file = known.get(name + files.INDEX if name.endswith("/") else name)
        if file is None:
            raise RequestError(
                404, f"there is nothing at {name[:80]!r} for a browser; there is {', '.join(known) or 'no page in this bundle'}"
            )
        if file.tag in request.header(b"if-none-match"):
            return Answer(304, b"", file.content_type, file.headers)
        return Answer(200, file.content, file.content_type, file.headers)

    async def _page(self, request: Request) -> Answer:
        return Answer(
            200, PAGE.read_bytes(), b"text/html; charset=utf-8", [(b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY")]
        )

    async def _openapi(self, request: Request) -> Answer:
        token, log = self._token is not None, self.log is not None
        return await _json(openapi.document(self.models.signatures(), self.limits, token=token, log=log, pages=self.models.pages()))

    async def _metrics(self, request: Request) -> Answer:
        return Answer(200, str(self.metrics).encode(), CONTENT_TYPE.encode())

    async def _server(self, request: Request) -> Answer:
        return await _json({"name": "serving", "version": VERSION, "extensions": protocol.EXTENSIONS})

    async def _live(self, request: Request) -> Answer:
        return await _json({"live": True})

    async def _ready(self, request: Request) -> Answer:
        if self.draining:
            raise RequestError(503, "the server is about to stop, so ask another one")
        return await _json({"ready": True})

    async def _model_ready(self, served: Served) -> Answer:
        return await _json({"name": served.model.signature.name, "ready": True})

    async def _index(self, request: Request) -> Answer:
        signatures = self.models.signatures()
        return await _json([{"name": each.name, "version": each.version, "state": "READY", "reason": ""} for each in signatures])


def refusal(error: RequestError) -> Answer:
    """How every refused request is answered."""
    headers = [*error.headers, *([(b"retry-after", b"1")] if error.status == 503 else [])]
    return Answer(error.status, protocol.dumps({"error": str(error)}), headers=headers)


async def _json(value: Any) -> Answer:
    return Answer(200, protocol.dumps(value))
