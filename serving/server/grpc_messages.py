"""The messages of the Open Inference Protocol's gRPC, and what they say in its JSON.

The index of models is Triton's. On the wire are only the numbers of the fields and their types. So
the messages are made from this table, with any version of protobuf, and no generated code is kept.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving.errors import RequestError
from serving.server.json_body import dumps, parse

# The fields of each message, numbered from 1; `*` is repeated. Messages in a request that may be
# many are `bytes` here, which is the same on the wire: protobuf needs 50 times the bytes of an
# empty one, so that they are counted before they are read.
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
    "Values": "string name, string datatype, int64* shape, bytes* parameters, Contents contents",
    "Wanted": "string name, bytes* parameters",
    "Request": "string model_name, string model_version, string id, bytes* parameters, "
    "bytes* inputs, bytes* outputs, bytes* raw_input_contents",
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
MOST = 16  # entries of a field, other than values


def _classes() -> Dict[str, Any]:
    """The class of each message, by its name in the table."""
    file = descriptor_pb2.FileDescriptorProto(name="messages", package="inference", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        if name == "Choice":
            message.oneof_decl.add(name="choice")
        for number, words in enumerate(map(str.split, filter(None, fields.split(", "))), 1):
            field = message.field.add(name=words[1], number=number)
            kind = words[0].rstrip("*")
            field.label = field.LABEL_OPTIONAL if kind == words[0] else field.LABEL_REPEATED
            if kind in FIELDS:
                field.type, field.type_name = field.TYPE_MESSAGE, f".inference.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
            if name == "Choice":
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    types = (pool.FindMessageTypeByName(f"inference.{name}") for name in FIELDS)
    return dict(zip(FIELDS, map(message_factory.GetMessageClass, types)))


CLASSES = _classes()


def request_in_json(request: Any) -> Tuple[bytes, int]:
    """The body of the same inference request over HTTP, and the length of its JSON.

    The response has raw contents if the request has, whatever its parameters say. Raises
    RequestError, and protobuf's DecodeError.
    """
    raw = _few(request.raw_input_contents)
    inputs = [_input(CLASSES["Values"].FromString(data)) for data in _few(request.inputs)]
    for values, content in zip(inputs, raw):
        values["parameters"]["binary_data_size"] = len(content)
    wanted = [CLASSES["Wanted"].FromString(data) for data in _few(request.outputs)]
    head: Dict[str, Any] = {
        **({"id": request.id} if request.id else {}),
        "parameters": {**_parameters(request), "binary_data_output": bool(raw)},
        "inputs": inputs,
        "outputs": [{"name": each.name, "parameters": _parameters(each)} for each in wanted],
    }
    text = dumps(head)
    return b"".join([text, *raw]), len(text)


def _few(field: Any) -> List[bytes]:
    if len(field) > MOST:
        sentence = f"a field of the message has {len(field)} entries; expected {MOST} at most"
        raise RequestError(400, sentence)
    return list(field)


def _input(values: Any) -> Dict[str, Any]:
    field = CONTENTS.get(values.datatype) if values.HasField("contents") else None
    return {
        "name": values.name,
        "datatype": values.datatype,
        "shape": list(values.shape[:MOST]),  # more are too many for any model
        "parameters": _parameters(values),
        **({"data": list(getattr(values.contents, field))} if field else {}),
    }


def _parameters(owner: Any) -> Dict[str, Any]:
    """Without those that say in JSON what is binary."""
    entries = [CLASSES["Parameter"].FromString(data) for data in _few(owner.parameters)]
    return {
        entry.key: getattr(entry.value, entry.value.WhichOneof("choice") or "", None)
        for entry in entries
        if not entry.key.startswith("binary_data")
    }


def response_from_json(body: bytes, length: int) -> Any:
    """The message for a response over HTTP, whose JSON has that length, 0 if nothing follows it."""
    head, tail = parse(body[: length or None]), body[length:]
    raw: List[bytes] = []
    for output in head["outputs"]:
        if length:
            size = output.pop("parameters")["binary_data_size"]
            raw.append(tail[:size])
            tail = tail[size:]
        else:
            datatype, data = output["datatype"], output.pop("data")
            data = map(str.encode, data) if datatype == "BYTES" else data
            output["contents"] = {CONTENTS[datatype]: data}
    parameters = head.pop("parameters", {}).items()
    head["parameters"] = [{"key": key, "value": {"string_param": text}} for key, text in parameters]
    return CLASSES["Response"](**head, raw_output_contents=raw)
