"""The JSON schemas of requests and responses, for openapi.py."""

from __future__ import annotations

from typing import Any, Dict, List

from serving.server.limits import Limits
from serving.server.protocol import CLASS, HIGH, INPUT, LABELS, LOW, Signature

TEXT, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
# The values of an input in JSON, by data type
VALUES: Dict[str, Dict[str, Any]] = {
    "UINT8": {"type": "integer", "minimum": 0, "maximum": 255},
    "FP32": {"type": "number"},
}


def array(items: Dict[str, Any], **limits: int) -> Dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def optional(**properties: Any) -> Dict[str, Any]:
    """An object that may have these properties."""
    return {"type": "object", "properties": properties}


def required(**properties: Any) -> Dict[str, Any]:
    """An object with all of these properties."""
    return {**optional(**properties), "required": list(properties)}


def described(schema: Dict[str, Any], description: str) -> Dict[str, Any]:
    return {**schema, "description": description}


def components(signatures: List[Signature]) -> Dict[str, Any]:
    yes = {"const": True}
    tensors = array(required(name=TEXT, datatype=TEXT, shape=array(INTEGER)))
    schemas = {
        "Error": required(
            error=described(TEXT, "One sentence: the thing, what is wrong with it, the cure")
        ),
        "Server": required(name=TEXT, version=TEXT, extensions=array(TEXT)),
        "Live": required(live=yes),
        "Ready": required(ready=yes),
        "ModelReady": required(name=TEXT, ready=yes),
        "Index": required(name=TEXT, version=TEXT, state=TEXT, reason=TEXT),
        "Model": required(
            name=TEXT, versions=array(TEXT), platform=TEXT, inputs=tensors, outputs=tensors
        ),
        "Prediction": _prediction(signatures),
    }
    schemas["Model"]["properties"]["parameters"] = optional(
        not_proven=described(TEXT, "Of a draft: a gate of its maker that it fails")
    )
    for signature in signatures:
        schemas[f"Request_{signature.name}"] = _inference_request(signature)
        schemas[f"Answer_{signature.name}"] = _inference_response(signature)
    return schemas


def _prediction(signatures: List[Signature]) -> Dict[str, Any]:
    """The body of the response of /predict, with the answers that the models give."""
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    probabilities = {"type": "object", "additionalProperties": probability}
    class_ = described({"type": ["string", "null"]}, "null for none of the classes")
    end = {"type": ["number", "null"]}
    coverage = described(end, "the share of inputs whose true number is between low and high")
    number = {"number": {"type": "number"}, "unit": TEXT, "low": end, "high": end}
    answers: Dict[str, Dict[str, Any]] = {
        "classes": {"class": class_, "probabilities": probabilities},
        "labels": {"labels": array(TEXT), "probabilities": probabilities},
        "number": {**number, "coverage": coverage},
    }
    kinds = sorted({signature.target for signature in signatures})
    alone = answers[kinds[0]] if len(kinds) == 1 else {}
    prediction = required(model=TEXT, version=TEXT, **alone)
    prediction["properties"]["id"] = described(
        TEXT, "If the server keeps a log: the id for /feedback"
    )
    return prediction if alone else {**prediction, "anyOf": [required(**answers[k]) for k in kinds]}


def labels(limits: Limits) -> Dict[str, Any]:
    """The body of a request to /feedback."""
    true = {"anyOf": [TEXT, array(TEXT), {"type": "number"}]}
    true = described(true, "The class, the labels that hold, or the number")
    label = {**required(id=TEXT, label=true), "additionalProperties": False}
    return {"anyOf": [label, array(label, minItems=1, maxItems=limits.max_labels)]}


def labels_outcome() -> Dict[str, Any]:
    """The body of the response of /feedback."""
    outcome = required(labelled={"type": "integer", "minimum": 1}, unknown=array(TEXT))
    outcome["properties"]["kept"] = described(
        array(TEXT), "Ids of predictions that kept an earlier, different label"
    )
    return outcome


def login_form() -> Dict[str, Any]:
    return required(token=TEXT, page=described(TEXT, "The page to go to afterwards"))


def _inference_request(signature: Signature) -> Dict[str, Any]:
    """A request with one or more images, up to the limit.

    JSON Schema cannot tie the length of the data to the shape.
    """
    sizes = [
        {"type": "integer", "minimum": 1, "maximum": signature.max_images},
        *({"const": size} for size in signature.input_shape),
    ]
    kind, count = signature.kind, len(sizes)
    values = described(
        array(VALUES[kind.datatype]),
        f"N * {signature.image_values} raw {kind.noun}, flat or nested like the shape",
    )
    image = required(
        name={"const": INPUT},
        datatype={"const": kind.datatype},
        shape={"type": "array", "prefixItems": sizes, "minItems": count, "maxItems": count},
        data=values,
    )
    output = required(name={"enum": signature.outputs})
    output["properties"]["parameters"] = optional(
        binary_data=BOOLEAN, classification={"type": "integer", "minimum": 0}
    )
    request = required(inputs=array(image, minItems=1, maxItems=1))
    request["properties"]["id"] = TEXT
    request["properties"]["outputs"] = array(output, maxItems=len(signature.outputs))
    request["properties"]["parameters"] = optional(binary_data_output=BOOLEAN)
    example = {
        "name": INPUT,
        "datatype": kind.datatype,
        "shape": [1, *signature.input_shape],
        "data": [0] * signature.image_values,
    }
    return {**request, "examples": [{"inputs": [example]}]}


def _inference_response(signature: Signature) -> Dict[str, Any]:
    name = {"enum": signature.outputs}
    output = required(
        name=described(
            name,
            f"{CLASS}: the number of the class, -1 for none of them; {LABELS}: whether each label "
            f"holds; {LOW}, {HIGH}: the ends of a number's interval",
        ),
        datatype={"enum": ["FP32", "BYTES", "INT32", "BOOL"]},
        shape=array(INTEGER, minItems=1, maxItems=2),
        data=array({"type": ["number", "string", "boolean"]}),
    )
    named = {"const": signature.name}
    response = required(model_name=named, model_version=TEXT, outputs=array(output))
    response["properties"]["id"] = TEXT
    prediction_id = described(TEXT, "The id for /feedback; several images have ID.0, ID.1, ...")
    response["properties"]["parameters"] = optional(prediction_id=prediction_id)
    return response
