"""pydantic's error on a file as one sentence: the key, what is wrong with it, what was expected."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml.error import MarkedYAMLError

from pipeline.process.errors import UserError

AnyModel = TypeVar("AnyModel", bound=BaseModel)
# pydantic's words and ours, replaced in this order.
WORDS = {
    "Input should be ": "",
    "String should match pattern": "a text that matches",
    "a valid integer": "an integer",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid ": "a ",
}
BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "of at least",
    "less_than": "below",
    "less_than_equal": "of at most",
}


def yaml_fault(error: Exception) -> str:
    """What is wrong with a file that ruamel.yaml refuses, on one line."""
    repeated = re.search(r'found duplicate key "(.+?)"', str(error))
    if repeated and isinstance(error, MarkedYAMLError) and error.problem_mark:
        line = error.problem_mark.line + 1
        return f"{repeated[1]} is set twice, the second time on line {line}; keep one"
    if "cannot start any token" in str(error) and isinstance(error, MarkedYAMLError):
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        return f"line {line} has a tab or a sign that begins no value; indent with spaces"
    return " ".join(str(error).split())


def checked(kind: type[AnyModel], values: Any, before: str = "") -> AnyModel:
    """`values` as a model of this kind. Raises UserError, with what goes before its sentence."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{before}{sentence(error, values, kind)}") from None


def sentence(error: ValidationError, values: Any, root: type[BaseModel]) -> str:
    """The sentence for `values` that do not fit the model `root`."""
    errors = error.errors()
    unknown_keys = [entry for entry in errors if entry["type"] == "extra_forbidden"]
    # An unknown key is often a misspelt one, which is then missing as well: report the cause.
    first = [*unknown_keys, *errors][0]
    place = _place(first["loc"], values)
    name = ".".join(map(str, place)) or "the file"
    if first["type"] == "extra_forbidden":
        keys = _section(place[:-1], root).model_fields
        return f"{name} is not a known key; expected one of {', '.join(keys)}"
    if first["type"] == "missing":
        return f"{'.'.join(map(str, first['loc']))} is missing"
    if first["type"] == "value_error":
        return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    expectations = [
        _expectation(entry) for entry in errors if _place(entry["loc"], values) == place
    ]
    return f"{name} is {first['input']!r}; expected {', or '.join(dict.fromkeys(expectations))}"


def fault(error: ValidationError, values: Any) -> str:
    """What is wrong with `values` that a program wrote: the first fault alone."""
    first = error.errors()[0]
    name = ".".join(map(str, _place(first["loc"], values))) or "the file"
    if first["type"] == "missing":
        missing = first["loc"][-1]
        return f"{missing} is missing" if name == "the file" else f"{name}.{missing} is missing"
    if first["type"] == "extra_forbidden":
        return f"{name} is not a known key"
    if first["type"].startswith("union_tag"):
        key = first["ctx"]["discriminator"].strip("'")
        tag = first["ctx"].get("tag")
        return f"{name}.{key} is {'missing' if tag is None else repr(tag)}"
    if first["type"] == "value_error":
        return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    return f"{name} is {reprlib.repr(first['input'])}"


def _expectation(error: ErrorDetails) -> str:
    """What one branch of a union expects, in our words instead of pydantic's."""
    kind, message = error["type"], error["msg"]
    if kind in BOUNDS:
        (limit,) = error["ctx"].values()
        if not isinstance(limit, int):  # pydantic gives the limits of floats as floats
            return f"a number {BOUNDS[kind]} {limit:g}"
        if kind == "greater_than":
            return f"an integer of at least {limit + 1}"
        return f"an integer {BOUNDS[kind]} {limit}"
    if kind == "too_short":
        return f"a list of at least {error['ctx']['min_length']}"
    if kind == "model_type":
        is_keras_object = "KerasObject" in message
        return "{class_name: ..., config: {...}}" if is_keras_object else "a section of keys"
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _place(location: tuple[int | str, ...], values: Any) -> list[int | str]:
    """The keys of the file in an error's location, without the types that pydantic tried there."""
    keys: list[int | str] = []
    for part in location:
        if isinstance(values, dict | list) and (
            part in values if isinstance(values, dict) else isinstance(part, int)
        ):
            keys.append(part)
            values = values[part]  # type: ignore[index]
    return keys


def _section(keys: list[int | str], section: type[BaseModel]) -> type[BaseModel]:
    """The section at `keys` below `section`."""
    for key in keys:
        if isinstance(key, str):
            section = next(_sections(section.model_fields[key].annotation))
    return section


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
