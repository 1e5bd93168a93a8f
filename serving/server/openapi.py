"""The server's own description, OpenAPI 3.1: what is served now, with the shapes and names of its models."""

from __future__ import annotations

from typing import Any, Dict, List

from serving.server import VERSION
from serving.server.limits import Limits
from serving.server.protocol import INPUT, OUTPUT, Signature
from serving.server.public_files import FOLDER

JSON = "application/json"
HTML = {"text/html": {"schema": {"type": "string"}}}


def document(
    signatures: List[Signature], limits: Limits, token: bool, log: bool, pages: List[str]
) -> Dict[str, Any]:
    names = [signature.name for signature in signatures]
    drafts = [
        f" {signature.name} is {signature.draft}." for signature in signatures if signature.draft
    ]
    about = f"Open Inference Protocol V2, and pictures for people.{''.join(drafts)}"
    paths = {
        "/": {
            "get": _operation(
                "start", "The page of the only bundle, or what is served here", HTML, 307
            )
        },
        "/docs": {"get": _operation("page", "This description as a page", HTML)},
        "/openapi.json": {
            "get": _operation("openapi", "This description", _json({"type": "object"}))
        },
        "/metrics": {
            "get": _operation(
                "metrics", "Metrics for Prometheus", {"text/plain": {"schema": {"type": "string"}}}
            )
        },
        "/predict": {"post": _predict(names)},
        "/v2": {"get": _operation("server", "The server's name and version", _reference("Server"))},
        "/v2/health/live": {
            "get": _operation("live", "Whether the server lives", _reference("Live"), token=False)
        },
        "/v2/health/ready": {
            "get": _operation(
                "ready", "Whether the server takes requests", _reference("Ready"), 503, token=False
            )
        },
        "/v2/repository/index": {
            "post": _operation(
                "index", "The models", _json({"type": "array", "items": _ref("Index")})
            )
        },
    }
    if log:
        paths["/feedback"] = {"post": _feedback(limits)}
    for signature in signatures:
        for version in ("", f"/versions/{signature.version}"):
            root, suffix = (
                f"/v2/models/{signature.name}{version}",
                f"_{signature.name}{'_version' if version else ''}",
            )
            paths[root] = {
                "get": _operation(
                    f"model{suffix}", f"What {signature.name} takes and gives", _reference("Model")
                )
            }
            paths[f"{root}/ready"] = {
                "get": _operation(
                    f"model_ready{suffix}",
                    "Whether the model is loaded",
                    _reference("ModelReady"),
                    503,
                )
            }
            paths[f"{root}/infer"] = {"post": _infer(signature, suffix)}
    for name in pages:
        paths[f"/bundles/{name}/{FOLDER}"] = {
            "get": _operation(f"try_{name}", f"{name} in the browser, to try it", HTML, 304)
        }
    described: Dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "serving", "version": VERSION, "description": about},
        "servers": [
            {"url": "."}
        ],  # relative to this description, as a proxy may have the server below a path
        "paths": paths,
        "components": {"schemas": _schemas(signatures, limits)},
    }
    if token:
        form = _object(
            token={"type": "string"}, page={"type": "string", "description": "Where to go then"}
        )
        paths["/login"] = {
            "post": {
                **_operation(
                    "login",
                    "The token, for which a browser gets a cookie",
                    HTML,
                    303,
                    401,
                    token=False,
                ),
                "requestBody": {
                    "required": True,
                    "content": {"application/x-www-form-urlencoded": {"schema": form}},
                },
            }
        }
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _operation(
    name: str, summary: str, content: Dict[str, Any], *statuses: int, token: bool = True
) -> Dict[str, Any]:
    """An operation that answers 200 with `content`, or one of the statuses with a sentence."""
    answers: Dict[str, Any] = {"200": {"description": "As asked", "content": content}}
    for status in (*((401,) if token else ()), 405, 408, 413, 431, *statuses):
        refused = {"description": "Refused, with the reason", "content": _reference("Error")}
        answers[str(status)] = (
            refused if status >= 400 else {"description": "To be had elsewhere, or unchanged"}
        )
    operation = {"operationId": name, "summary": summary, "responses": answers}
    return operation if token else {**operation, "security": []}


def _predict(names: List[str]) -> Dict[str, Any]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    return {
        **_operation(
            "predict", "The class of a picture", _reference("Prediction"), 400, 403, 404, 415, 503
        ),
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "schema": {"enum": names},
                "description": f"{names[0]} where it is left out",
            }
        ],
        "requestBody": {"required": True, "content": {"image/png": picture, "image/jpeg": picture}},
    }


def _feedback(limits: Limits) -> Dict[str, Any]:
    text = {"type": "string"}
    label = {**_object(id=text, label=text), "additionalProperties": False}
    body = {
        "anyOf": [
            label,
            {"type": "array", "items": label, "minItems": 1, "maxItems": limits.max_labels},
        ]
    }
    noted = _object(
        labelled={"type": "integer", "minimum": 1}, unknown={"type": "array", "items": text}
    )
    description = "Ids of predictions that had another label already, which was kept"
    noted["properties"]["kept"] = {"type": "array", "items": text, "description": description}
    statuses = (400, 403, 404, 409, 415, 503)
    return {
        **_operation(
            "feedback",
            "The true class of earlier predictions, by their ids",
            _json(noted),
            *statuses,
        ),
        "requestBody": {"required": True, "content": _json(body)},
    }


def _infer(signature: Signature, suffix: str) -> Dict[str, Any]:
    binary = {
        "type": "string",
        "format": "binary",
        "description": "The JSON, then the tensors; the header tells the length of the JSON",
    }
    content = {
        **_reference(f"Answer_{signature.name}"),
        "application/octet-stream": {"schema": binary},
    }
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "schema": {"type": "integer", "minimum": 0},
        "description": "Bytes of JSON before the tensors; 0 for images alone, without any JSON",
    }
    return {
        **_operation(
            f"infer{suffix}",
            f"Probabilities from {signature.name}",
            content,
            400,
            403,
            415,
            500,
            503,
        ),
        "parameters": [header],
        "requestBody": {"required": True, "content": _reference(f"Request_{signature.name}")},
    }


def _schemas(signatures: List[Signature], limits: Limits) -> Dict[str, Any]:
    text, yes, integer = {"type": "string"}, {"const": True}, {"type": "integer"}
    tensor = _object(name=text, datatype=text, shape={"type": "array", "items": integer})
    schemas = {
        "Error": _object(
            error={
                "type": "string",
                "description": "One sentence: the thing, what is wrong with it, what is allowed",
            }
        ),
        "Server": _object(name=text, version=text, extensions={"type": "array", "items": text}),
        "Live": _object(live=yes),
        "Ready": _object(ready=yes),
        "ModelReady": _object(name=text, ready=yes),
        "Index": _object(name=text, version=text, state=text, reason=text),
        "Model": _object(
            name=text,
            versions={"type": "array", "items": text},
            platform=text,
            inputs={"type": "array", "items": tensor},
            outputs={"type": "array", "items": tensor},
        ),
        "Prediction": _object(
            **{"model": text, "version": text, "class": text},
            probabilities={
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            },
        ),
    }
    not_proven = {"type": "string", "description": "Of a draft: a gate of its maker that it fails"}
    schemas["Model"]["properties"]["parameters"] = {
        "type": "object",
        "properties": {"not_proven": not_proven},
    }
    schemas["Prediction"]["properties"]["id"] = {
        "type": "string",
        "description": "Where there is a log: by which /feedback knows it",
    }
    for signature in signatures:
        schemas[f"Request_{signature.name}"] = _request(signature)
        schemas[f"Answer_{signature.name}"] = _answer(signature)
    return schemas


def _request(signature: Signature) -> Dict[str, Any]:
    """One image, which any number of further ones may follow up to the limit: JSON Schema cannot tie data to shape."""
    sizes = [
        {"type": "integer", "minimum": 1, "maximum": signature.max_images},
        *({"const": size} for size in signature.input_shape),
    ]
    pixels = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
    pixels["description"] = (
        f"N * {signature.image_bytes} raw pixels, flat, or nested as the shape says"
    )
    shape = {"type": "array", "prefixItems": sizes, "minItems": 4, "maxItems": 4}
    image = _object(name={"const": INPUT}, datatype={"const": "UINT8"}, shape=shape, data=pixels)
    output = _object(name={"const": OUTPUT})
    output["properties"]["parameters"] = {
        "type": "object",
        "properties": {
            "binary_data": {"type": "boolean"},
            "classification": {"type": "integer", "minimum": 0},
        },
    }
    request = _object(inputs={"type": "array", "items": image, "minItems": 1, "maxItems": 1})
    request["properties"]["id"] = {"type": "string"}
    request["properties"]["outputs"] = {"type": "array", "items": output, "maxItems": 1}
    request["properties"]["parameters"] = {
        "type": "object",
        "properties": {"binary_data_output": {"type": "boolean"}},
    }
    data = [0] * signature.image_bytes
    example = {
        "name": INPUT,
        "datatype": "UINT8",
        "shape": [1, *signature.input_shape],
        "data": data,
    }
    return {**request, "examples": [{"inputs": [example]}]}


def _answer(signature: Signature) -> Dict[str, Any]:
    shape = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    data = {"type": "array", "items": {"type": ["number", "string"]}}
    output = _object(
        name={"const": OUTPUT}, datatype={"enum": ["FP32", "BYTES"]}, shape=shape, data=data
    )
    answer = _object(
        model_name={"const": signature.name},
        model_version={"type": "string"},
        outputs={"type": "array", "items": output},
    )
    answer["properties"]["id"] = {"type": "string"}
    parameters = {
        "prediction_id": {
            "type": "string",
            "description": "By which /feedback knows it; of several images ID.0, ID.1, ...",
        }
    }
    answer["properties"]["parameters"] = {"type": "object", "properties": parameters}
    return answer


def _object(**properties: Any) -> Dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(schema: Dict[str, Any]) -> Dict[str, Any]:
    return {JSON: {"schema": schema}}


def _ref(schema: str) -> Dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _reference(schema: str) -> Dict[str, Any]:
    return _json(_ref(schema))
