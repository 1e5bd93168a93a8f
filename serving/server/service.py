"""From a request to its answer, whatever carries the two: routes, errors, metrics."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs, quote

from serving import photo
from serving.errors import InputError, RequestError
from serving.server import VERSION, login, openapi, protocol, public_files
from serving.server.compression import compress, decompress
from serving.server.models import Models, Served
from serving.server.origins import Origins
from serving.server.prometheus import CONTENT_TYPE, Gauge

if TYPE_CHECKING:
    from serving.server.prediction_log_writer import LogWriter

PAGE = Path(__file__).parent / "page.html"
HTML = b"text/html; charset=utf-8"
LENGTH_HEADER = b"inference-header-content-length"
READ, POST = ("GET", "HEAD"), ("POST",)
OPEN = (
    "live",
    "ready",
    "login",
)  # routes that need no token; what starts and stops servers asks the first two


class Request(NamedTuple):
    """`path` is decoded, `headers` are lower-case names, each with all its values."""

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
    methods: Tuple[str, ...]
    answer: Callable[[Request], Awaitable[Answer]]


class Service:
    def __init__(
        self,
        models: Models,
        origins: Origins,
        token: Optional[str] = None,
        log: Optional[LogWriter] = None,
    ) -> None:
        self.models, self.origins, self.log = models, origins, log
        self.limits, self.metrics = models.limits, models.metrics
        self.draining = False
        self._token = login.Token(token) if token else None
        depends_on = [
            "accept-encoding",
            *origins.vary,
            *(("accept", "authorization", "cookie") if token else ()),
        ]
        self._vary = (b"vary", ", ".join(depends_on).encode())
        self._pictures, self._reader = (
            0,
            ThreadPoolExecutor(1),
        )  # a large picture takes some eighty megabytes while it is read
        self._fixed = {
            "/": Route("start", READ, self._start),
            "/docs": Route("page", READ, self._page),
            "/openapi.json": Route("openapi", READ, self._openapi),
            "/metrics": Route("metrics", READ, self._metrics),
            "/predict": Route("predict", POST, self._predict),
            "/feedback": Route("feedback", POST, self._feedback),
            "/v2": Route("server", READ, self._server),
            "/v2/health/live": Route("live", READ, self._live),
            "/v2/health/ready": Route("ready", READ, self._ready),
            "/v2/repository/index": Route("index", POST, self._index),
        }
        if token:
            self._fixed[login.PATH] = Route("login", (*READ, *POST), self._login)
        waiting = Gauge(
            "serving_waiting_images", "Images that wait for a model.", ("model",), models.waiting
        )
        self.metrics.all.append(waiting)

    async def answer(self, request: Request) -> Answer:
        """The answer to any request; it never raises."""
        start, name = time.perf_counter(), "none"
        try:
            route = self.route(request.path)
            name = route.name
            if _is_preflight(request) and self.origins.allowed:
                answer = Answer(204, b"", headers=self.origins.preflight(request, route.methods))
            else:
                self.admit(request, route)
                answer = await route.answer(request)
        except RequestError as error:
            answer = self._refusal(error, request)
        except (
            Exception
        ) as error:  # a fault of ours must neither end the server nor show its inside
            print(f"error: {request.method} {name}: {error!r}", file=sys.stderr)
            answer = refusal(RequestError(500, "the server failed on this request"))
        answer.body, encoding = compress(answer.body, request.header(b"accept-encoding"))
        if encoding:
            answer.headers.append((b"content-encoding", encoding.encode()))
        answer.headers += [self._vary, *self.origins.headers(request)]
        self.metrics.requests.add(1, name, answer.status)
        self.metrics.seconds.observe(time.perf_counter() - start, name)
        return answer

    def refused(self, error: RequestError, head: Optional[Request]) -> Answer:
        """The answer to a request that could not be read whole; `head` is what was read of it, where that is enough."""
        answer = refusal(error)
        answer.headers += [self._vary, *(self.origins.headers(head) if head else [])]
        return answer

    def _refusal(self, error: RequestError, request: Request) -> Answer:
        """For people a page with the form for the token, where that is what was missing."""
        answer = refusal(error)
        if self._token and error.status == 401 and login.wanted(request):
            answer.body, answer.content_type = login.page(request.path), HTML
            answer.headers += login.HEADERS
        return answer

    def route(self, path: str) -> Route:
        """Raises RequestError where there is none."""
        fixed = self._fixed.get(path.rstrip("/") or "/")
        if fixed and not path.endswith("//"):
            return fixed
        parts = path.split("/")[1:]
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            name, version, rest = parts[2], None, parts[3:]
            if len(rest) > 1 and rest[0] == "versions":
                version, rest = rest[1], rest[2:]
            served = partial(self.models.find, name, version)
            if rest == ["infer"]:
                return Route("infer", POST, lambda request: self._infer(request, served()))
            if rest == ["ready"]:
                return Route("model_ready", READ, lambda request: self._model_ready(served()))
            if not rest:
                return Route(
                    "model",
                    READ,
                    lambda request: _json(protocol.metadata(served().model.signature)),
                )
        if parts[:1] == ["bundles"] and len(parts) > 2:
            return Route(
                "file",
                READ,
                lambda request: self._file(
                    self.models.find(parts[1]), "/".join(parts[2:]), request
                ),
            )
        raise RequestError(
            404, f"there is nothing at {path[:80]!r}; /openapi.json tells what there is"
        )

    def admit(self, request: Request, route: Route) -> None:
        """Raises RequestError for a method or a token that is not allowed here."""
        if request.method not in route.methods:
            allowed = ", ".join(route.methods)
            raise RequestError(
                405,
                f"{request.method} is not allowed here; expected {allowed}",
                (b"allow", allowed.encode()),
            )
        if route.name == "feedback" or (
            self.log and route.name in ("predict", "infer")
        ):  # which write
            self.origins.admit_write(request, by_anything=route.name == "feedback")
        if self._token and route.name not in OPEN and not self._token.holds(request):
            sentence = "the request has no valid token; send the header Authorization: Bearer TOKEN"
            raise RequestError(401, sentence, (b"www-authenticate", b"Bearer"))

    async def _infer(self, request: Request, served: Served) -> Answer:
        model, headers = served.model, request.headers
        body = decompress(
            request.body,
            request.header(b"content-encoding").strip().lower(),
            self.limits.max_body_bytes,
        )
        length = request.header(LENGTH_HEADER).strip() if LENGTH_HEADER in headers else None
        inference = protocol.decode(body, length, model.signature)
        probabilities = await served.queue.submit(model, inference.images)
        self.metrics.images.add(len(probabilities), model.signature.name, model.signature.version)
        prediction_id = (
            self.log.add(model.classifier, inference.images, probabilities) if self.log else None
        )
        body, json_length = protocol.encode(
            inference, probabilities, model.signature, prediction_id
        )
        if json_length is None:
            return Answer(200, body)
        return Answer(
            200, body, b"application/octet-stream", [(LENGTH_HEADER, b"%d" % json_length)]
        )

    async def _predict(self, request: Request) -> Answer:
        served = self._chosen(request.query)
        model = served.model
        if request.header(b"content-type").lower().startswith("multipart/"):
            raise RequestError(
                415,
                "the body is a form; send the picture itself, as `curl --data-binary @picture.png` does",
            )
        body = decompress(
            request.body,
            request.header(b"content-encoding").strip().lower(),
            self.limits.max_body_bytes,
        )
        if self._pictures >= self.limits.max_pictures:
            raise RequestError(
                503, f"{self._pictures} pictures are being read already, so try again in a second"
            )
        self._pictures += 1
        try:
            read = partial(
                photo.read, body, model.classifier.card, ("PNG", "JPEG"), self.limits.max_pixels
            )
            image = await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except InputError as error:
            raise RequestError(400, str(error)) from None
        finally:
            self._pictures -= 1
        probabilities = await served.queue.submit(model, image[None])
        row, names = probabilities[0], model.signature.class_names
        self.metrics.images.add(1, model.signature.name, model.signature.version)
        prediction_id = (
            self.log.add(model.classifier, image[None], probabilities) if self.log else None
        )
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
            raise RequestError(
                404, "this server keeps no log that labels could go to; start it with --log FILE"
            )
        body = decompress(
            request.body,
            request.header(b"content-encoding").strip().lower(),
            self.limits.max_body_bytes,
        )
        noted = await self.log.label(protocol.decode_labels(body, self.limits.max_labels))
        if noted["labelled"]:
            return await _json(noted)
        if noted["unknown"]:
            raise RequestError(
                404,
                f"the log holds no prediction {noted['unknown'][0][:80]!r}; the oldest fall out of it",
            )
        first = noted["kept"][0]
        raise RequestError(
            409, f"the prediction {first!r} has another label already, and the first is kept"
        )

    def _chosen(self, query: str) -> Served:
        """The bundle that `?model=NAME` names, or the first."""
        try:
            names = parse_qs(query, keep_blank_values=True, max_num_fields=16).get("model", [])
        except ValueError:
            raise RequestError(
                400, "the query has more than 16 fields; allowed is model=NAME"
            ) from None
        return self.models.find(names[0]) if names else self.models.first()

    async def _start(self, request: Request) -> Answer:
        """The page of the only bundle; where there are several, or none with a page, what is served here."""
        signatures, pages = self.models.signatures(), self.models.pages()
        if len(signatures) > 1 or not pages:
            return await self._page(request)
        return _elsewhere(f"bundles/{quote(pages[0])}/{public_files.FOLDER}")

    async def _file(self, served: Served, name: str, request: Request) -> Answer:
        known = served.model.files
        file = known.get(name + public_files.INDEX if name.endswith("/") else name)
        if file is None:
            raise RequestError(
                404,
                f"there is nothing at {name[:80]!r} for a browser; there is {', '.join(known) or 'no page in this bundle'}",
            )
        if file.is_known_by(request.header(b"if-none-match")):
            return Answer(304, b"", file.content_type, file.headers)
        return Answer(200, file.content, file.content_type, file.headers)

    async def _page(self, request: Request) -> Answer:
        if (
            request.path.endswith("/") and request.path != "/"
        ):  # below which its relative links lead nowhere
            return _elsewhere(f"../{request.path.strip('/')}")
        return Answer(
            200,
            PAGE.read_bytes(),
            HTML,
            [(b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY")],
        )

    async def _login(self, request: Request) -> Answer:
        assert self._token
        if request.method != "POST":
            return Answer(200, login.page(request.path), HTML, list(login.HEADERS))
        try:
            return Answer(303, b"", headers=self._token.login(request.body))
        except RequestError as error:
            page = login.page(request.path, str(error))
            return Answer(error.status, page, HTML, [*error.headers, *login.HEADERS])

    async def _openapi(self, request: Request) -> Answer:
        token, log = self._token is not None, self.log is not None
        return await _json(
            openapi.document(
                self.models.signatures(),
                self.limits,
                token=token,
                log=log,
                pages=self.models.pages(),
            )
        )

    async def _metrics(self, request: Request) -> Answer:
        return Answer(200, str(self.metrics).encode(), CONTENT_TYPE.encode())

    async def _server(self, request: Request) -> Answer:
        return await _json(
            {"name": "serving", "version": VERSION, "extensions": protocol.EXTENSIONS}
        )

    async def _live(self, request: Request) -> Answer:
        return await _json({"live": True})

    async def _ready(self, request: Request) -> Answer:
        if self.draining:
            raise RequestError(503, "the server is about to stop, so ask another one")
        stuck = self.models.stuck()
        if stuck:
            raise RequestError(
                503,
                f"the model {stuck[0]!r} does not answer, so ask another server or try again in a second",
            )
        return await _json({"ready": True})

    async def _model_ready(self, served: Served) -> Answer:
        name = served.model.signature.name
        if name in self.models.stuck():
            raise RequestError(
                503,
                f"the model {name!r} does not answer, so ask another server or try again in a second",
            )
        return await _json({"name": served.model.signature.name, "ready": True})

    async def _index(self, request: Request) -> Answer:
        signatures = self.models.signatures()
        return await _json(
            [
                {"name": each.name, "version": each.version, "state": "READY", "reason": each.draft}
                for each in signatures
            ]
        )


def refusal(error: RequestError) -> Answer:
    """How every refused request is answered."""
    headers = [*error.headers, *([(b"retry-after", b"1")] if error.status == 503 else [])]
    return Answer(error.status, protocol.dumps({"error": str(error)}), headers=headers)


def _elsewhere(address: str) -> Answer:
    """An address relative to that of the request, as a proxy may have the server below a path."""
    return Answer(307, b"", headers=[(b"location", address.encode())])


def _is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and b"origin" in request.headers
        and b"access-control-request-method" in request.headers
    )


async def _json(value: Any) -> Answer:
    return Answer(200, protocol.dumps(value))
