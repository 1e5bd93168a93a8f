"""What each route answers. A handler raises RequestError for a request that it refuses."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional
from urllib.parse import parse_qs, quote

from serving import photo
from serving.errors import InputError, RequestError
from serving.model_file import NONE
from serving.server import VERSION, login, openapi, protocol, public_files
from serving.server.label_bodies import decode_labels
from serving.server.login import Token
from serving.server.messages import (
    HTML,
    Request,
    Response,
    decompress,
    json_response,
    redirect,
)
from serving.server.models import Model, Models, ServedModel
from serving.server.prometheus import CONTENT_TYPE
from serving.server.request_bodies import decode

if TYPE_CHECKING:
    from serving.server.prediction_log_writer import LogWriter

PAGE = Path(__file__).parent / "page.html"
PAGE_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"))
JSON = "application/json"
LENGTH_HEADER = b"inference-header-content-length"
ABOUT_TO_STOP = "the server is about to stop, so ask another one"


class Handlers:
    def __init__(self, models: Models, token: Optional[Token], log: Optional[LogWriter]) -> None:
        self.models, self.log = models, log
        self.limits, self.metrics = models.limits, models.metrics
        self.draining = False
        self._token = token
        # One thread, because a large picture takes some 80 MB while it is decoded.
        self._decoder = ThreadPoolExecutor(1)
        self._pictures = 0  # being decoded, or waiting for it

    async def infer(self, request: Request, served: ServedModel) -> Response:
        model, headers = served.model, request.headers
        body = self._body(request)
        length = request.header(LENGTH_HEADER).strip() if LENGTH_HEADER in headers else None
        if length == "0" and request.header(b"content-type").lower().startswith(JSON):
            raise RequestError(
                400,
                "the body is JSON by its Content-Type, and Inference-Header-Content-Length is 0, "
                "which means no JSON; leave one of the two headers out",
            )
        inference = decode(body, length, model.signature)
        probabilities = await served.queue.submit(model, inference.images)
        derived = protocol.derive(model.classifier, probabilities)
        prediction_id = self._record(model, inference.images, probabilities, derived)
        outputs = {protocol.OUTPUT: probabilities, **derived}
        body, json_length = protocol.encode(inference, outputs, model.signature, prediction_id)
        if json_length is None:
            return Response(200, body)
        return Response(
            200, body, b"application/octet-stream", [(LENGTH_HEADER, b"%d" % json_length)]
        )

    async def predict(self, request: Request) -> Response:
        served = self._queried_model(request.query)
        model = served.model
        if request.header(b"content-type").lower().startswith("multipart/"):
            raise RequestError(
                415,
                "the body is a form; "
                "send the picture itself, as `curl --data-binary @picture.png` does",
            )
        image = await self._decode_picture(self._body(request), model)
        images = image[None]
        probabilities = await served.queue.submit(model, images)
        derived = protocol.derive(model.classifier, probabilities)
        prediction_id = self._record(model, images, probabilities, derived)
        return json_response(
            {
                **({} if prediction_id is None else {"id": prediction_id}),
                "model": model.signature.name,
                "version": model.signature.version,
                **model.classifier.answer(probabilities[0]),
            }
        )

    async def _decode_picture(self, body: bytes, model: Model) -> Any:
        """The image (H, W, C) that the model takes."""
        if self._pictures >= self.limits.max_pictures:
            raise RequestError(
                503,
                f"{self._pictures} pictures are being decoded already, so try again in a second",
            )
        read = partial(
            photo.read, body, model.classifier.card, ("PNG", "JPEG"), self.limits.max_pixels
        )
        self._pictures += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._decoder, read)
        except InputError as error:
            raise RequestError(400, str(error)) from None
        finally:
            self._pictures -= 1

    def _body(self, request: Request) -> bytes:
        encoding = request.header(b"content-encoding").strip().lower()
        return decompress(request.body, encoding, self.limits.max_body_bytes)

    def _record(
        self, model: Model, images: Any, probabilities: Any, derived: Dict[str, Any]
    ) -> Optional[str]:
        """Counts and logs a prediction; its id in the log, None if it is not logged."""
        name, version = model.signature.name, model.signature.version
        self.metrics.images.add(len(images), name, version)
        if protocol.CLASS in derived:
            self.metrics.rejected.add(int((derived[protocol.CLASS] == NONE).sum()), name, version)
        return self.log.add(model.classifier, images, probabilities) if self.log else None

    def _queried_model(self, query: str) -> ServedModel:
        """The model that `?model=NAME` names, or the first."""
        try:
            names = parse_qs(query, keep_blank_values=True, max_num_fields=16).get("model", [])
        except ValueError:
            raise RequestError(
                400, "the query has more than 16 fields; expected model=NAME"
            ) from None
        return self.models.find(names[0]) if names else self.models.first()

    async def feedback(self, request: Request) -> Response:
        if self.log is None:
            raise RequestError(
                404, "this server has no log to take labels; start it with --log FILE"
            )
        labels = decode_labels(self._body(request), self.limits.max_labels)
        outcome = await self.log.label(labels)
        if outcome["labelled"]:
            return json_response(outcome)
        if outcome["unknown"]:
            unknown = outcome["unknown"][0][:80]
            raise RequestError(
                404,
                f"the log holds no prediction {unknown!r}; the oldest are deleted at its limit",
            )
        raise RequestError(
            409,
            f"the prediction {outcome['kept'][0]!r} has another label already, "
            "and the first is kept",
        )

    async def start(self, request: Request) -> Response:
        """The page of the only bundle; the server's own if there are several, or it has none."""
        signatures, pages = self.models.signatures(), self.models.pages()
        if len(signatures) > 1 or not pages:
            return await self.docs(request)
        return redirect(f"bundles/{quote(pages[0])}/{public_files.FOLDER}")

    async def docs(self, request: Request) -> Response:
        # The page's links are relative, so they would lead nowhere below /docs/.
        if request.path.endswith("/") and request.path != "/":
            return redirect(f"../{request.path.strip('/')}")
        return Response(200, PAGE.read_bytes(), HTML, list(PAGE_HEADERS))

    async def file(self, served: ServedModel, name: str, request: Request) -> Response:
        files = served.model.files
        file = files.get(name + public_files.INDEX if name.endswith("/") else name)
        if file is None:
            names = ", ".join(files) or "no page in this bundle"
            raise RequestError(
                404, f"there is nothing at {name[:80]!r} for a browser; there is {names}"
            )
        if file.is_cached(request.header(b"if-none-match")):
            return Response(304, b"", file.content_type, file.headers)
        return Response(200, file.content, file.content_type, file.headers)

    async def login(self, request: Request) -> Response:
        assert self._token
        if request.method != "POST":
            return Response(200, login.page(request.path), HTML, list(login.HEADERS))
        try:
            return Response(303, b"", headers=self._token.login(request.body))
        except RequestError as error:
            page = login.page(request.path, str(error))
            return Response(error.status, page, HTML, [*error.headers, *login.HEADERS])

    async def openapi(self, request: Request) -> Response:
        description = openapi.document(
            self.models.signatures(),
            self.limits,
            token=self._token is not None,
            log=self.log is not None,
            pages=self.models.pages(),
        )
        return json_response(description)

    async def prometheus(self, request: Request) -> Response:
        return Response(200, str(self.metrics).encode(), CONTENT_TYPE.encode())

    async def server(self, request: Request) -> Response:
        return json_response(
            {"name": "serving", "version": VERSION, "extensions": protocol.EXTENSIONS}
        )

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        if self.draining:
            raise RequestError(503, ABOUT_TO_STOP)
        stuck = self.models.stuck()
        if stuck:
            raise _stuck(stuck[0])
        return json_response({"ready": True})

    async def model_ready(self, served: ServedModel) -> Response:
        name = served.model.signature.name
        if name in self.models.stuck():
            raise _stuck(name)
        return json_response({"name": name, "ready": True})

    async def model(self, served: ServedModel) -> Response:
        return json_response(protocol.metadata(served.model.signature))

    async def index(self, request: Request) -> Response:
        return json_response(
            [
                {
                    "name": signature.name,
                    "version": signature.version,
                    "state": "READY",
                    "reason": signature.draft,
                }
                for signature in self.models.signatures()
            ]
        )


def _stuck(name: str) -> RequestError:
    return RequestError(
        503, f"the model {name!r} does not answer, so ask another server or try again in a second"
    )
