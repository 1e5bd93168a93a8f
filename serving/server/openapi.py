"""The server's own description in OpenAPI 3.1: the paths and models that it serves now."""

from __future__ import annotations

from typing import Any, Dict, List

from serving.server import VERSION
from serving.server.limits import Limits
from serving.server.protocol import CLASS, INPUT, Signature
from serving.server.public_files import FOLDER

TEXT, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
# The values of an input in JSON, by data type
VALUES: Dict[str, Dict[str, Any]] = {
    "UINT8": {"type": "integer", "minimum": 0, "maximum": 255},
    "FP32": {"type": "number"},
}
BINARY = {"type": "string", "format": "binary"}
HTML = {"text/html": {"schema": TEXT}}

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
        "components": {"schemas": _schemas(signatures)},
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
    metrics = {"text/plain": {"schema": TEXT}}
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
            "post": _operation("index", "The models", _json(_array(_reference("Index"))))
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
    summary = "The true classes of earlier predictions, by their ids"
    content, statuses = _json(_labels_outcome()), (400, 403, 404, 409, 415, 503)
    return {
        **_operation("feedback", summary, content, *statuses),
        "requestBody": {"required": True, "content": _json(_labels(limits))},
    }


def _infer(signature: Signature, suffix: str) -> Operation:
    summary = f"Probabilities from {signature.name}"
    binary = _described(
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
    form = {"application/x-www-form-urlencoded": {"schema": _login_form()}}
    return {
        **_operation(
            "login", "Exchanges the token for a browser's cookie", HTML, 303, 401, token=False
        ),
        "requestBody": {"required": True, "content": form},
    }


def _array(items: Dict[str, Any], **limits: int) -> Dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def _optional(**properties: Any) -> Dict[str, Any]:
    """An object that may have these properties."""
    return {"type": "object", "properties": properties}


def _required(**properties: Any) -> Dict[str, Any]:
    """An object with all of these properties."""
    return {**_optional(**properties), "required": list(properties)}


def _described(schema: Dict[str, Any], description: str) -> Dict[str, Any]:
    return {**schema, "description": description}


def _schemas(signatures: List[Signature]) -> Dict[str, Any]:
    yes = {"const": True}
    tensors = _array(_required(name=TEXT, datatype=TEXT, shape=_array(INTEGER)))
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    answer = _described({"type": ["string", "null"]}, "null for none of the classes")
    schemas = {
        "Error": _required(
            error=_described(TEXT, "One sentence: the thing, what is wrong with it, the cure")
        ),
        "Server": _required(name=TEXT, version=TEXT, extensions=_array(TEXT)),
        "Live": _required(live=yes),
        "Ready": _required(ready=yes),
        "ModelReady": _required(name=TEXT, ready=yes),
        "Index": _required(name=TEXT, version=TEXT, state=TEXT, reason=TEXT),
        "Model": _required(
            name=TEXT, versions=_array(TEXT), platform=TEXT, inputs=tensors, outputs=tensors
        ),
        "Prediction": _required(
            **{"model": TEXT, "version": TEXT, "class": answer},
            probabilities={"type": "object", "additionalProperties": probability},
        ),
    }
    schemas["Model"]["properties"]["parameters"] = _optional(
        not_proven=_described(TEXT, "Of a draft: a gate of its maker that it fails")
    )
    schemas["Prediction"]["properties"]["id"] = _described(
        TEXT, "If the server keeps a log: the id for /feedback"
    )
    for signature in signatures:
        schemas[f"Request_{signature.name}"] = _inference_request(signature)
        schemas[f"Answer_{signature.name}"] = _inference_response(signature)
    return schemas


def _labels(limits: Limits) -> Dict[str, Any]:
    """The body of a request to /feedback."""
    label = {**_required(id=TEXT, label=TEXT), "additionalProperties": False}
    return {"anyOf": [label, _array(label, minItems=1, maxItems=limits.max_labels)]}


def _labels_outcome() -> Dict[str, Any]:
    """The body of the response of /feedback."""
    outcome = _required(labelled={"type": "integer", "minimum": 1}, unknown=_array(TEXT))
    outcome["properties"]["kept"] = _described(
        _array(TEXT), "Ids of predictions that kept an earlier, different label"
    )
    return outcome


def _login_form() -> Dict[str, Any]:
    return _required(token=TEXT, page=_described(TEXT, "The page to go to afterwards"))


def _inference_request(signature: Signature) -> Dict[str, Any]:
    """A request with one or more images, up to the limit.

    JSON Schema cannot tie the length of the data to the shape.
    """
    sizes = [
        {"type": "integer", "minimum": 1, "maximum": signature.max_images},
        *({"const": size} for size in signature.input_shape),
    ]
    kind, count = signature.kind, len(sizes)
    values = _described(
        _array(VALUES[kind.datatype]),
        f"N * {signature.image_values} raw {kind.noun}, flat or nested like the shape",
    )
    image = _required(
        name={"const": INPUT},
        datatype={"const": kind.datatype},
        shape={"type": "array", "prefixItems": sizes, "minItems": count, "maxItems": count},
        data=values,
    )
    output = _required(name={"enum": signature.outputs})
    output["properties"]["parameters"] = _optional(
        binary_data=BOOLEAN, classification={"type": "integer", "minimum": 0}
    )
    request = _required(inputs=_array(image, minItems=1, maxItems=1))
    request["properties"]["id"] = TEXT
    request["properties"]["outputs"] = _array(output, maxItems=len(signature.outputs))
    request["properties"]["parameters"] = _optional(binary_data_output=BOOLEAN)
    example = {
        "name": INPUT,
        "datatype": kind.datatype,
        "shape": [1, *signature.input_shape],
        "data": [0] * signature.image_values,
    }
    return {**request, "examples": [{"inputs": [example]}]}


def _inference_response(signature: Signature) -> Dict[str, Any]:
    name = {"enum": signature.outputs}
    output = _required(
        name=_described(name, f"{CLASS}: the number of the class, -1 for none of them"),
        datatype={"enum": ["FP32", "BYTES", "INT32"]},
        shape=_array(INTEGER, minItems=1, maxItems=2),
        data=_array({"type": ["number", "string"]}),
    )
    named = {"const": signature.name}
    response = _required(model_name=named, model_version=TEXT, outputs=_array(output))
    response["properties"]["id"] = TEXT
    prediction_id = _described(TEXT, "The id for /feedback; several images have ID.0, ID.1, ...")
    response["properties"]["parameters"] = _optional(prediction_id=prediction_id)
    return response


def _json(schema: Dict[str, Any]) -> Content:
    return {"application/json": {"schema": schema}}


def _reference(component: str) -> Dict[str, str]:
    return {"$ref": f"#/components/schemas/{component}"}


def _component(name: str) -> Content:
    return _json(_reference(name))
