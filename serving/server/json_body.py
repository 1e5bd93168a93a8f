"""JSON in the bodies of requests and responses.

Works with the standard library alone; msgspec makes it several times faster.
"""

from __future__ import annotations

import json
from typing import Any, Dict

from serving import typed_json
from serving.errors import RequestError

try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]

SPARE_VALUES = 1024  # JSON values that a request may have beside its data
KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def count_values(text: bytes) -> int:
    """An upper bound of the JSON values in `text`, which bounds the memory that parsing takes.

    Every value but the first stands behind a comma or an opening bracket.
    """
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def parse(text: bytes) -> Any:
    """JSON as Python's values. Raises RequestError."""
    try:
        if msgspec:
            return msgspec.json.decode(text)
        return json.loads(text.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise RequestError(400, "the JSON is nested too deep") from None
    except Exception as error:  # msgspec's errors and the standard library's share no narrower base
        raise RequestError(400, f"the body is not JSON ({str(error)[:200]})") from None


def parse_strictly(text: bytes) -> Any:
    """Like `parse`, for requests that write: refuses an object that has a name twice."""
    try:
        return typed_json.loads(text)
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON ({str(error)[:200]})") from None


def dumps(value: Any) -> bytes:
    if msgspec:
        return msgspec.json.encode(value)
    return json.dumps(value, separators=(",", ":")).encode()


def kind(value: Any) -> str:
    """The JSON type of a value, for error messages."""
    return KINDS.get(type(value), "null")


def as_object(value: Any, name: str) -> Dict[str, Any]:
    """The value if it is an object; raises RequestError, with its name, otherwise."""
    if not isinstance(value, dict):
        raise RequestError(400, f"{name} is {kind(value)}; expected an object")
    return value


def is_text(value: str) -> bool:
    """False for halves of surrogate pairs, which Python's own parser of JSON lets through."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")
