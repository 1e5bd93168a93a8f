"""The server's own description in OpenAPI 3.1: the paths and models that it serves now."""

from __future__ import annotations

from typing import Any, Dict, List

from serving.server import VERSION, schemas
from serving.server.limits import Limits
from serving.server.protocol import Signature
from serving.server.public_files import FOLDER

BINARY = {"type": "string", "format": "binary"}
HTML = {"text/html": {"schema": schemas.TEXT}}

Content = Dict[str, Any]  # schemas by media type
Operation = Dict[str, Any]


def document(
    signatures: List[Signature], limits: Limits, token: bool, log: bool, pages: List[str]
) -> Dict[str, Any]:
    drafts = [
        f" {signature.name} is {signature.draft}." for signature in signatures if signature.draft
    ]
    summary = f"Open Inference Protocol V2, and predictions for pictures.{''.join(drafts)}"
    paths = _server_paths([signature.name for signature in signatures])
    if log:
        paths["/feedback"] = {"post": _feedback(limits)}
    for signature in signatures:
        paths.update(_model_paths(signature, ""))
        paths.update(_model_paths(signature, f"/versions/{signature.version}"))
    for name in pages:
        page = _operation(f"try_{name}", f"Try {name} in the browser", HTML, 304)
        paths[f"/bundles/{name}/{FOLDER}"] = {"get": page}
    description: Dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "serving", "version": VERSION, "description": summary},
        # Relative to this description, because a proxy may serve us below a path.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": schemas.components(signatures)},
    }
    if token:
        paths["/login"] = {"post": _login()}
        description["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
        description["security"] = [{"token": []}]
    return description


def _server_paths(model_names: List[str]) -> Dict[str, Dict[str, Operation]]:
    start = "The page of the only bundle, or this server's own"
    openapi = _json({"type": "object"})
    metrics = {"text/plain": {"schema": schemas.TEXT}}
    live = _operation("live", "Whether the server is alive", _component("Live"), token=False)
    ready = _operation(
        "ready", "Whether the server accepts requests", _component("Ready"), 503, token=False
    )
    return {
        "/": {"get": _operation("start", start, HTML, 307)},
        "/docs": {"get": _operation("page", "This description as a page", HTML)},
        "/openapi.json": {"get": _operation("openapi", "This description", openapi)},
        "/metrics": {"get": _operation("metrics", "Metrics for Prometheus", metrics)},
        "/predict": {"post": _predict(model_names)},
        "/v2": {"get": _operation("server", "The server's name and version", _component("Server"))},
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        "/v2/repository/index": {
            "post": _operation("index", "The models", _json(schemas.array(_reference("Index"))))
        },
    }


def _model_paths(signature: Signature, version: str) -> Dict[str, Dict[str, Operation]]:
    """The paths of a model; `version` is empty, or the part of the path that names it."""
    root = f"/v2/models/{signature.name}{version}"
    suffix = f"_{signature.name}{'_version' if version else ''}"
    interface = f"The inputs and outputs of {signature.name}"
    ready = _operation(
        f"model_ready{suffix}", "Whether the model is loaded", _component("ModelReady"), 503
    )
    return {
        root: {"get": _operation(f"model{suffix}", interface, _component("Model"))},
        f"{root}/ready": {"get": ready},
        f"{root}/infer": {"post": _infer(signature, suffix)},
    }


def _operation(
    name: str, summary: str, content: Content, *statuses: int, token: bool = True
) -> Operation:
    """An operation that answers 200 with `content`, or one of the statuses with a sentence."""
    responses: Dict[str, Any] = {"200": {"description": "Done", "content": content}}
    refused = {"description": "Refused, with the reason", "content": _component("Error")}
    elsewhere = {"description": "See another address, or unchanged"}
    for status in (*((401,) if token else ()), 405, 408, 413, 431, *statuses):
        responses[str(status)] = refused if status >= 400 else elsewhere
    operation = {"operationId": name, "summary": summary, "responses": responses}
    return operation if token else {**operation, "security": []}


def _predict(model_names: List[str]) -> Operation:
    content, statuses = _component("Prediction"), (400, 403, 404, 415, 503)
    model = {
        "name": "model",
        "in": "query",
        "schema": {"enum": model_names},
        "description": f"{model_names[0]} by default",
    }
    picture = {"schema": BINARY}
    return {
        **_operation("predict", "The class of a picture", content, *statuses),
        "parameters": [model],
        "requestBody": {"required": True, "content": {"image/png": picture, "image/jpeg": picture}},
    }


def _feedback(limits: Limits) -> Operation:
    summary = "The true answers to earlier predictions, by their ids"
    content, statuses = _json(schemas.labels_outcome()), (400, 403, 404, 409, 415, 503)
    return {
        **_operation("feedback", summary, content, *statuses),
        "requestBody": {"required": True, "content": _json(schemas.labels(limits))},
    }


def _infer(signature: Signature, suffix: str) -> Operation:
    summary = f"Probabilities from {signature.name}"
    binary = schemas.described(
        BINARY, "The JSON, then the tensors; the header gives the length of the JSON"
    )
    content = {
        **_component(f"Answer_{signature.name}"),
        "application/octet-stream": {"schema": binary},
    }
    statuses = (400, 403, 415, 500, 503)
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Bytes of JSON before the tensors; 0 for images alone, without any JSON",
    }
    return {
        **_operation(f"infer{suffix}", summary, content, *statuses),
        "parameters": [header],
        "requestBody": {"required": True, "content": _component(f"Request_{signature.name}")},
    }


def _login() -> Operation:
    form = {"application/x-www-form-urlencoded": {"schema": schemas.login_form()}}
    return {
        **_operation(
            "login", "Exchanges the token for a browser's cookie", HTML, 303, 401, token=False
        ),
        "requestBody": {"required": True, "content": form},
    }


def _json(schema: Dict[str, Any]) -> Content:
    return {"application/json": {"schema": schema}}


def _reference(component: str) -> Dict[str, str]:
    return {"$ref": f"#/components/schemas/{component}"}


def _component(name: str) -> Content:
    return _json(_reference(name))
