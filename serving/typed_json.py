"""Untrusted JSON -> dataclasses: a value that is not of its field's type is refused.

A card or a signature is read before it can be trusted. So nothing is guessed or converted, and NaN,
duplicate keys and any nesting depth, which json would accept, are refused. Each fault is one
ValueError that names the field.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import typing
import unicodedata
from typing import Any, Dict, Iterator, List, NewType, Optional, Tuple, Type, TypeVar, Union

T = TypeVar("T")
Text = NewType("Text", str)  # may have several lines, unlike str
LONGEST_NUMBER = 20  # digits
SHOWN = 40  # characters of a value in an error
LAYOUT = "\n\t"  # the control characters that a text may have
# control characters, lone surrogates, separators of lines and paragraphs
CONTROL = {"Cc", "Cs", "Zl", "Zp"}
# what reverses the order of text
BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
NAMES = {
    str: "a text",
    Text: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def loads(data: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError, also for too deep a nesting."""
    try:
        return json.loads(
            data.decode(), parse_int=_integer, parse_constant=_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def build(kind: Type[T], values: Any, where: str = "") -> T:
    """The dataclass `kind` from an object as `loads` gives it. Raises ValueError.

    Fields may be str (one line), Text, int, float, bool, Any, dataclasses, and List, Tuple, Dict
    and Optional of them. A dataclass checks everything else in its __post_init__. Errors call the
    object `where`.
    """
    try:
        return typing.cast(T, _dataclass(kind, values, where))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def is_line(text: str) -> bool:
    """Is this a single line that is safe to print to a terminal?"""
    return not any(map(_controls, text)) and not any(character in text for character in LAYOUT)


def _dataclass(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise _wrong(where or "it", values, "an object")
    before = f"{where}." if where else ""
    types, fields = _types(kind), dataclasses.fields(kind)
    unknown = sorted(values.keys() - {field.name for field in fields})
    if unknown:
        raise ValueError(f"{before}{unknown[0][:SHOWN]} is not a field that this package knows")
    missing = [field.name for field in fields if _required(field) and field.name not in values]
    if missing:
        raise ValueError(f"{before}{missing[0]} is missing")
    parsed = {name: _value(types[name], value, before + name) for name, value in values.items()}
    try:
        return kind(**parsed)
    except ValueError as error:
        raise ValueError(f"{before}{error}") from None


@functools.cache
def _types(kind: Any) -> Dict[str, Any]:
    return typing.get_type_hints(kind)  # slow: it evaluates every annotation


def _required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:  # Optional
        return None if value is None else _value(arguments[0], value, where)
    if origin is list:
        return [_value(arguments[0], item, place) for item, place in _items(value, where)]
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is dict:
        entries = _entries(value, where)
        return {name: _value(arguments[1], item, place) for name, item, place in entries}
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    return _anything(value, where) if kind is Any else _scalar(kind, value, where)


def _tuple(kinds: Tuple[Any, ...], value: Any, where: str) -> Tuple[Any, ...]:
    items = _items(value, where)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} values, expected {len(kinds)}")
    return tuple(_value(kind, item, place) for kind, (item, place) in zip(kinds, items))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    types = {float: (int, float), Text: (str,)}.get(kind, (kind,))
    if not isinstance(value, types) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(where, value, NAMES[kind])
    if kind is str and not is_line(value):
        raise _wrong(where, value, "one line of text")
    return _anything(value, where)


def _anything(value: Any, where: str) -> Any:
    """A value of any type without control characters, NaN and infinities."""
    if isinstance(value, list):
        return [_anything(item, place) for item, place in _items(value, where)]
    if isinstance(value, dict):
        return {name: _anything(item, place) for name, item, place in _entries(value, where)}
    if isinstance(value, str) and any(map(_controls, value)):
        raise ValueError(f"{where} has a control character in {_shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is not a finite number")
    return value


def _items(value: Any, where: str) -> Iterator[Tuple[Any, str]]:
    """Each item of a list and its name in errors. Lazy, because a list may be long."""
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    return ((item, f"{where}[{index}]") for index, item in enumerate(value))


def _entries(value: Any, where: str) -> Iterator[Tuple[str, Any, str]]:
    """Each name and value of an object and its name in errors. Lazy."""
    if not isinstance(value, dict):
        raise _wrong(where, value, "an object")
    for name in value:
        _scalar(str, name, f"a name in {where}")
    return ((name, item, f"{where}.{name[:SHOWN]}") for name, item in value.items())


def _controls(character: str) -> bool:
    """Would a terminal obey this instead of showing it?"""
    if character in LAYOUT or " " <= character <= "~":
        return False
    category = unicodedata.category(character)
    return category in CONTROL or unicodedata.bidirectional(character) in BIDIRECTIONAL


def _wrong(where: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{where} is {_shown(value)}, expected {expected}")


def _shown(value: Any) -> str:
    """A value as an error shows it."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else repr(value)[:SHOWN]


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(text)} digits")
    return int(text)


def _constant(text: str) -> Any:
    raise ValueError(f"it has the number {text}, which JSON does not know")


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("an object in it has a name twice")
    return result


# The checks of what a type cannot express. All raise ValueError.


def expect(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def expect_words(**texts: str) -> None:
    for name, text in texts.items():
        expect(bool(text.strip()), f"{name} is {text[:40]!r}, expected one line of text")


def expect_fractions(**values: Optional[float]) -> None:
    for name, value in values.items():
        expect(value is None or 0 <= value <= 1, f"{name} is {value}, expected 0 to 1")


def expect_interval(**values: Optional[Tuple[float, float]]) -> None:
    for name, value in values.items():
        low, high = value or (0, 1)
        expect(0 <= low <= high <= 1, f"{name} is {low} to {high}, expected to rise within 0 to 1")


def expect_counts(**values: int) -> None:
    for name, value in values.items():
        expect(value >= 1, f"{name} is {value}, expected 1 or more")


def expect_amounts(**values: Optional[float]) -> None:
    for name, value in values.items():
        expect(value is None or value >= 0, f"{name} is {value}, expected 0 or more")
