"""Values of params.yaml on a command line: overrides of single keys, and the space of a search."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.process.errors import UserError

NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(\s+log)?")

Overrides = Mapping[str, object]  # values of params.yaml by dotted key


def parsed(arguments: Sequence[str]) -> Overrides:
    """The values of `-S key=value` arguments, as in `dvc exp run`. Raises UserError."""
    return {key: _value(key, text) for key, text in _pairs(arguments, "-S ", "train.epochs=3")}


def written(value: object) -> str:
    """A value in the notation of `dvc exp run -S`."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Choices:
    """A parameter that takes one of these values."""

    key: str
    values: list[object]

    def labels(self) -> dict[str, object]:
        """Each value by its notation for `dvc exp run -S`."""
        return {written(value): value for value in self.values}


@dataclass(frozen=True)
class Range:
    """A parameter that takes any number from low to high; integers if both ends are integers."""

    key: str
    low: float
    high: float
    log: bool


def space(arguments: Sequence[str]) -> list[Choices | Range]:
    """Parses `key=value,value,...` and `key=low..high`. Raises UserError.

    A range that ends in ` log` has a logarithmic scale.
    """
    example = "train.learning_rate=0.001,0.01 or 'train.learning_rate=0.0001..0.1 log'"
    dimensions: dict[str, Choices | Range] = {}
    for key, text in _pairs(arguments, "", example):
        if key in dimensions:
            raise UserError(f"{key} is given twice; give all its values at once")
        match = RANGE.fullmatch(text.strip())
        dimensions[key] = _range(key, text, match) if match else _choices(key, text)
    return list(dimensions.values())


def _range(key: str, text: str, match: re.Match[str]) -> Range:
    low, high = (float(end) if re.search(r"[.eE]", end) else int(end) for end in match.groups()[:2])
    if low >= high:
        raise UserError(f"{key}={text} is an empty range; expected the lower end first")
    if match[3] and low <= 0:
        raise UserError(f"{key}={text} is logarithmic and reaches {low}; expected ends above 0")
    return Range(key, low, high, bool(match[3]))


def _choices(key: str, text: str) -> Choices:
    values = _value(key, f"[{text}]")
    if not values:
        raise UserError(
            f"{key} has no values; "
            "expected values separated by commas, or a range such as 0.001..0.1"
        )
    choices = Choices(key, values)
    if len(choices.labels()) < len(values):
        raise UserError(f"{key}={text} names a value twice; name each once")
    return choices


def _pairs(arguments: Sequence[str], option: str, example: str) -> list[tuple[str, str]]:
    pairs = [argument.partition("=") for argument in arguments]
    wrong = [key for key, equals, _ in pairs if not equals]
    if wrong:
        raise UserError(f"{option}{wrong[0]} has no value; expected key=value, such as {example}")
    return [(key, text) for key, _, text in pairs]


def _value(key: str, text: str) -> Any:
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        raise UserError(
            f"{key}={text} is not a valid value; expected YAML as in params.yaml, such as [64, 32] "
            "or {class_name: SGD}"
        ) from None
