"""Values and reasons into the text of params.yaml, whose other lines and comments stay.

Lines are edited, as ruamel.yaml's round trip wraps and moves what it does not change. A section in
which a key has no line of its own, as where another program wrote the file, is first written anew
from its values, without its comments.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from functools import reduce
from typing import Any

from ruamel.yaml import YAML

from pipeline.config.overrides import written
from pipeline.planning.choice import Choice

COLUMN, WIDTH = 37, 100  # of comments, and of lines
HERE = "here: "  # begins the reason, after what the file itself says about the key


def apply(text: str, choices: Sequence[Choice]) -> str:
    """The text with these values."""
    lines, values = text.splitlines(), YAML(typ="safe").load(text)
    for section in dict.fromkeys(choice.key.partition(".")[0] for choice in choices):
        keys = [choice.key for choice in choices if choice.key.startswith(f"{section}.")]
        if any(_entry(lines, key) is None for key in keys):
            lines = _anew(lines, values, section, keys)
    for choice in choices:
        first, last = _entry(lines, choice.key) or (0, 0)
        old = lines[first:last]
        before = reduce(lambda value, name: value[name], choice.key.split("."), values)
        if choice.value != before or choice.reason or any(HERE in line for line in old):
            lines[first:last] = _lines(choice, old)
    return "\n".join(lines) + "\n"


def _anew(lines: list[str], values: dict[str, Any], section: str, keys: list[str]) -> list[str]:
    """The lines with a section in which each key has a line; keys that it lacks become null."""
    is_missing = section not in values
    for key in keys:
        *parents, name = key.split(".")
        inner = values
        for parent in parents:
            if not isinstance(inner.get(parent), dict):
                inner[parent] = {}
            inner = inner[parent]
        inner.setdefault(name, None)
    text = _yaml({section: values[section]}, WIDTH).splitlines()
    if is_missing:
        return [*lines, "", *text]
    begins = [at for at, line in enumerate(lines) if line.startswith(f"{section}:")]
    if not begins:  # the whole file is in braces
        return _yaml(values, WIDTH).splitlines()
    ends = (at for at in range(begins[0] + 1, len(lines)) if re.match(r"[^\s#}\]]", lines[at]))
    last = next(ends, len(lines))
    while re.match("#|$", lines[last - 1]):  # it belongs to the section that follows
        last -= 1
    return [*lines[: begins[0]], *text, *lines[last:]]


def _entry(lines: list[str], key: str) -> tuple[int, int] | None:
    """From the line of a key to the one after its value and comments; None if it has no line."""
    first, last = 0, len(lines)
    names = key.split(".")
    for depth, name in enumerate(names):
        indent = "  " * depth
        after_name = r"(\s|$)" if depth == len(names) - 1 else r"\s*(#|$)"  # no braces
        pattern = re.compile(rf"{indent}{re.escape(name)}:{after_name}")
        begins = [at for at in range(first, last) if pattern.match(lines[at])]
        if not begins:
            return None
        first = begins[0]
        deeper = re.compile(rf"{indent}   *\S")
        after = (at for at in range(first + 1, last) if not deeper.match(lines[at]))
        last = next(after, last)
    # a comment on lines of its own belongs to the key that follows it
    while last - 1 > first and re.match(r" {1,12}#", lines[last - 1]):
        last -= 1
    return first, last


def _lines(choice: Choice, old: list[str]) -> list[str]:
    indent = "  " * choice.key.count(".")
    name = choice.key.rsplit(".", 1)[-1]
    comments = [match[1] for line in old if (match := re.search(r"(?:^|\s)# (.*)$", line))]
    comment = " ".join(comments).partition(HERE)[0].rstrip()
    wrapped = textwrap.wrap(comment, WIDTH - COLUMN - 2)
    if choice.reason:
        wrapped += textwrap.wrap(HERE + choice.reason, WIDTH - COLUMN - 2)
    below = [f"{'':{COLUMN}}# {line}" for line in wrapped]
    if name in ("statement", "use", "limits"):
        return [*_block(name, choice.value, indent), *below]
    if name == "augmentation" and isinstance(choice.value, list) and choice.value:
        return [*_layers(name, choice.value, indent), *below]
    value = f"{indent}{name}: {_scalar(choice.value)}"
    if not wrapped:
        return [value]
    head = f"{value:{COLUMN}}# {wrapped[0]}" if len(value) < COLUMN else value
    rest = wrapped[1:] if len(value) < COLUMN else wrapped
    return [head, *(f"{'':{COLUMN}}# {line}" for line in rest)]


def _scalar(value: object) -> str:
    """A value on one line, with quotes where a text needs them."""
    if not isinstance(value, str):
        return written(value).replace(":", ": ").replace(",", ", ")
    text = _yaml(value, WIDTH * 100).removesuffix("...\n")
    return text.strip()


def _block(name: str, value: object, indent: str) -> list[str]:
    """A text or a list of texts, on as many lines as it needs."""
    dumped = _yaml({name: value}, WIDTH - len(indent) - 8)
    return [f"{indent}{line}".rstrip() for line in dumped.splitlines()]


def _layers(name: str, layers: list[dict[str, object]], indent: str) -> list[str]:
    """Keras layers by class_name and config, on two lines each."""
    lines = [f"{indent}{name}:"]
    for layer in layers:
        lines.append(f"{indent}  - class_name: {layer['class_name']}")
        lines.append(f"{indent}    config: {_scalar(layer['config'])}")
    return lines


def _yaml(value: object, width: int) -> str:
    yaml = YAML()
    yaml.width = width
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()
