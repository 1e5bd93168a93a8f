"""What pydantic finds wrong with a file, as one sentence: the key, what is wrong with it and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def of(error: ValidationError, values: Any, root: type[BaseModel]) -> str:
    """The sentence on `values` that do not fit the sections below `root`."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place = _place(first["loc"], values)
    name = ".".join(map(str, place)) or "the file"
    if first["type"] == "extra_forbidden":
        return f"{name} is not a known key; allowed here: {', '.join(_section(place[:-1], root).model_fields)}"
    if first["type"] == "missing":
        return f"{'.'.join(map(str, first['loc']))} is missing"
    if first["type"] == "value_error":
        return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    reasons = [
        _allowed(one["type"], one["msg"]) for one in errors if _place(one["loc"], values) == place
    ]
    return f"{name} is {first['input']!r}; allowed is {', or '.join(dict.fromkeys(reasons))}"


def _allowed(kind: str, message: str) -> str:
    """What one branch of a type allows, without pydantic's own words for it."""
    if kind == "model_type":
        return (
            "{class_name: ..., config: {...}}" if "KerasObject" in message else "a section of keys"
        )
    for said in ("Input should be ", "List should have ", "String should "):
        message = message.removeprefix(said)
    return message.replace("match pattern", "a text like")


def _place(location: tuple[int | str, ...], values: Any) -> list[int | str]:
    """The keys of the file in an error's location, which also names the types that were tried there."""
    keys: list[int | str] = []
    for part in location:
        if isinstance(values, dict | list) and (
            part in values if isinstance(values, dict) else isinstance(part, int)
        ):
            keys.append(part)
            values = values[part]  # type: ignore[index]
    return keys


def _section(keys: list[int | str], section: type[BaseModel]) -> type[BaseModel]:
    """The section that stands at `keys` below `section`."""
    for key in keys:
        if isinstance(key, str):
            section = next(_sections(section.model_fields[key].annotation))
    return section


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
