"""Routing, admission, errors and metrics: from a request to its response, over any transport."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Awaitable, Callable, Optional, Tuple

from serving.errors import RequestError
from serving.server import login
from serving.server.handlers import Handlers
from serving.server.messages import HTML, Request, Response, compress, refusal
from serving.server.models import Models
from serving.server.origins import Origins
from serving.server.prometheus import Gauge

if TYPE_CHECKING:
    from serving.server.prediction_log_writer import LogWriter

READ, POST = ("GET", "HEAD"), ("POST",)
# Need no token: whatever starts and stops servers asks for their health, and people must log in.
WITHOUT_TOKEN = ("live", "ready", "login")


@dataclass(frozen=True)
class Route:
    """`name` is the route's label in the metrics."""

    name: str
    methods: Tuple[str, ...]
    handle: Callable[[Request], Awaitable[Response]]


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
        self._token = login.Token(token) if token else None
        self._handlers = handlers = Handlers(models, self._token, log)
        self._vary = _vary(origins, with_token=self._token is not None)
        self._fixed_routes = {
            "/": Route("start", READ, handlers.start),
            "/docs": Route("page", READ, handlers.docs),
            "/openapi.json": Route("openapi", READ, handlers.openapi),
            "/metrics": Route("metrics", READ, handlers.prometheus),
            "/predict": Route("predict", POST, handlers.predict),
            "/feedback": Route("feedback", POST, handlers.feedback),
            "/v2": Route("server", READ, handlers.server),
            "/v2/health/live": Route("live", READ, handlers.live),
            "/v2/health/ready": Route("ready", READ, handlers.ready),
            "/v2/repository/index": Route("index", POST, handlers.index),
        }
        if token:
            self._fixed_routes[login.PATH] = Route("login", (*READ, *POST), handlers.login)
        waiting = Gauge(
            "serving_waiting_images", "Images waiting for a model.", ("model",), models.waiting
        )
        self.metrics.all.append(waiting)

    @property
    def draining(self) -> bool:
        return self._handlers.draining

    def drain(self) -> None:
        """Reports the server as not ready from now on; it still answers."""
        self._handlers.draining = True

    async def respond(self, request: Request) -> Response:
        """The response to any request; never raises."""
        start, name = time.perf_counter(), "none"
        try:
            route = self.route(request.path)
            name = route.name
            if _is_preflight(request) and self.origins.allowed:
                headers = self.origins.preflight(request, route.methods)
                response = Response(204, b"", headers=headers)
            else:
                self.admit(request, route)
                response = await route.handle(request)
        except RequestError as error:
            response = self._refusal(error, request)
        except Exception as error:  # a bug must neither end the server nor show its internals
            print(f"error: {request.method} {name}: {error!r}", file=sys.stderr)
            response = refusal(RequestError(500, "the server failed on this request"))
        response.body, encoding = compress(response.body, request.header(b"accept-encoding"))
        if encoding:
            response.headers.append((b"content-encoding", encoding.encode()))
        response.headers += [self._vary, *self.origins.headers(request)]
        self.metrics.requests.add(1, name, response.status)
        self.metrics.seconds.observe(time.perf_counter() - start, name)
        return response

    def refuse_unread(self, error: RequestError, head: Optional[Request]) -> Response:
        """The response to a request that could not be read; `head` is its head, if that was."""
        response = refusal(error)
        response.headers += [self._vary, *(self.origins.headers(head) if head else [])]
        return response

    def _refusal(self, error: RequestError, request: Request) -> Response:
        """A page with the login form where a person lacks the token; JSON otherwise."""
        response = refusal(error)
        if self._token and error.status == 401 and login.accepts_html(request):
            response.body, response.content_type = login.page(request.path), HTML
            response.headers += login.HEADERS
        return response

    def route(self, path: str) -> Route:
        """Raises RequestError for an unknown path."""
        fixed = self._fixed_routes.get(path.rstrip("/") or "/")
        if fixed and not path.endswith("//"):
            return fixed
        parts = path.split("/")[1:]
        route = None
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            route = self._model_route(*parts[2:])
        elif parts[:1] == ["bundles"] and len(parts) > 2:
            route = self._file_route(parts[1], "/".join(parts[2:]))
        if route is None:
            raise RequestError(
                404, f"there is nothing at {path[:80]!r}; /openapi.json lists what there is"
            )
        return route

    def _model_route(self, name: str, *rest: str) -> Optional[Route]:
        version = None
        if len(rest) > 1 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        handlers = self._handlers
        served = partial(self.models.find, name, version)
        if rest == ("infer",):
            return Route("infer", POST, lambda request: handlers.infer(request, served()))
        if rest == ("ready",):
            return Route("model_ready", READ, lambda request: handlers.model_ready(served()))
        if not rest:
            return Route("model", READ, lambda request: handlers.model(served()))
        return None

    def _file_route(self, model: str, name: str) -> Route:
        handlers = self._handlers
        served = partial(self.models.find, model)
        return Route("file", READ, lambda request: handlers.file(served(), name, request))

    def admit(self, request: Request, route: Route) -> None:
        """Raises RequestError for a method, a web page or a token that may not use the route."""
        if request.method not in route.methods:
            methods = ", ".join(route.methods)
            raise RequestError(
                405,
                f"{request.method} is not allowed here; expected {methods}",
                (b"allow", methods.encode()),
            )
        writes_log = route.name == "feedback" or (
            self.log is not None and route.name in ("predict", "infer")
        )
        if writes_log:
            self.origins.admit_write(request, any_client=route.name == "feedback")
        if self._token and route.name not in WITHOUT_TOKEN and not self._token.is_held_by(request):
            raise RequestError(
                401,
                "the request has no valid token; send the header Authorization: Bearer TOKEN",
                (b"www-authenticate", b"Bearer"),
            )


def _vary(origins: Origins, with_token: bool) -> Tuple[bytes, bytes]:
    """The header that names what a response depends on beside its address."""
    names = ["accept-encoding", *origins.vary]
    if with_token:
        names += ["accept", "authorization", "cookie"]
    return b"vary", ", ".join(names).encode()


def _is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and b"origin" in request.headers
        and b"access-control-request-method" in request.headers
    )
