"""The messages of the Open Inference Protocol's gRPC, and what they say in its JSON.

The protocol: https://github.com/kserve/open-inference-protocol, and the index of the repository
from Triton's. Only the order and the types of fields are on the wire, so the messages are made
from this table when the server starts, whatever the version of protobuf, and no generated code is
kept.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving.server.json_body import dumps, parse

FIELDS = {
    "Nothing": "",
    "Live": "bool live",
    "Ready": "bool ready",
    "Server": "string name, string version, string* extensions",
    "Name": "string name, string version",
    "Tensor": "string name, string datatype, int64* shape",
    "Model": "string name, string* versions, string platform, Tensor* inputs, Tensor* outputs",
    "Indexed": "string name, string version, string state, string reason",
    "Index": "Indexed* models",
    "Choice": "bool bool_param, int64 int64_param, string string_param, double double_param, "
    "uint64 uint64_param",
    "Parameter": "string key, Choice value",  # an entry of a map
    "Contents": "bool* bool_contents, int32* int_contents, int64* int64_contents, "
    "uint32* uint_contents, uint64* uint64_contents, float* fp32_contents, "
    "double* fp64_contents, bytes* bytes_contents",
    "Values": "string name, string datatype, int64* shape, Parameter* parameters, "
    "Contents contents",
    "Wanted": "string name, Parameter* parameters",
    "Request": "string model_name, string model_version, string id, Parameter* parameters, "
    "Values* inputs, Wanted* outputs, bytes* raw_input_contents",
    "Response": "string model_name, string model_version, string id, Parameter* parameters, "
    "Values* outputs, bytes* raw_output_contents",
}
CONTENTS = {
    "UINT8": "uint_contents",
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}


def _classes() -> Dict[str, Any]:
    """The class of each message, by its name in the table."""
    file = descriptor_pb2.FileDescriptorProto(
        name="inference.proto", package="inference", syntax="proto3"
    )
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        if name == "Choice":
            message.oneof_decl.add(name="choice")
        for number, text in enumerate(filter(None, fields.split(", ")), 1):
            kind, _, field_name = text.partition(" ")
            field = message.field.add(name=field_name, number=number)
            field.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in FIELDS:
                field.type_name = f".inference.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
            if name == "Choice":
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
        for name in FIELDS
    }


CLASSES = _classes()


def request_in_json(request: Any) -> Tuple[bytes, int]:
    """The body of the same inference request over HTTP, and the length of its JSON.

    The response has raw contents if the request has, whatever else its parameters say.
    """
    raw = list(request.raw_input_contents)
    inputs = [_input(values) for values in request.inputs]
    for values, content in zip(inputs, raw):
        values["parameters"]["binary_data_size"] = len(content)
    head: Dict[str, Any] = {
        "parameters": {**_values(request.parameters), "binary_data_output": bool(raw)},
        "inputs": inputs,
        "outputs": [
            {"name": wanted.name, "parameters": _values(wanted.parameters)}
            for wanted in request.outputs
        ],
    }
    if request.id:
        head["id"] = request.id
    text = dumps(head)
    return b"".join([text, *raw]), len(text)


def _input(values: Any) -> Dict[str, Any]:
    tensor = {
        "name": values.name,
        "datatype": values.datatype,
        "shape": list(values.shape),
        "parameters": _values(values.parameters),
    }
    if values.HasField("contents"):
        field = CONTENTS.get(values.datatype, "bytes_contents")
        tensor["data"] = [] if field == "bytes_contents" else list(getattr(values.contents, field))
    return tensor


def _values(parameters: Any) -> Dict[str, Any]:
    """The parameters, without those that say in JSON what is binary."""
    return {
        parameter.key: getattr(parameter.value, parameter.value.WhichOneof("choice") or "", None)
        for parameter in parameters
        if not parameter.key.startswith("binary_data")
    }


def response_from_json(body: bytes, length: int) -> Any:
    """The message for the body of a response over HTTP, whose JSON has that length, 0 for all."""
    head, tail = parse(body[: length or None]), body[length:] if length else b""
    raw: List[bytes] = []
    for output in head["outputs"]:
        size = output.pop("parameters", {}).get("binary_data_size")
        if size is None:
            data, field = output.pop("data"), CONTENTS[output["datatype"]]
            encoded = map(str.encode, data) if field == "bytes_contents" else data
            output["contents"] = {field: encoded}
        else:
            raw.append(tail[:size])
            tail = tail[size:]
    head["parameters"] = [
        {"key": key, "value": {"string_param": value}}
        for key, value in head.get("parameters", {}).items()
    ]
    return CLASSES["Response"](**head, raw_output_contents=raw)
