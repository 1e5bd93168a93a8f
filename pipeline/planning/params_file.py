"""Values and reasons into the text of params.yaml, whose other lines and comments stay."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from functools import reduce

from ruamel.yaml import YAML

from pipeline.config.overrides import written
from pipeline.planning.recipe import Choice
from pipeline.process.errors import UserError

COLUMN, WIDTH = 37, 100  # of comments, and of lines
HERE = "here: "  # begins the reason, after what the file itself says about the key


def apply(text: str, choices: Sequence[Choice]) -> str:
    """The text with these values. Raises UserError for a key that it does not have."""
    lines, values = text.splitlines(), YAML(typ="safe").load(text)
    for choice in choices:
        first, last = _entry(lines, choice.key)
        old = lines[first:last]
        before = reduce(lambda value, name: value[name], choice.key.split("."), values)
        if choice.value != before or choice.reason or any(HERE in line for line in old):
            lines[first:last] = _lines(choice, old)
    return "\n".join(lines) + "\n"


def _entry(lines: list[str], key: str) -> tuple[int, int]:
    """From the line of a key to the one after its value and comments."""
    first, last = 0, len(lines)
    for depth, name in enumerate(key.split(".")):
        indent = "  " * depth
        pattern = re.compile(rf"{indent}{re.escape(name)}:(\s|$)")
        found = [at for at in range(first, last) if pattern.match(lines[at])]
        if not found:
            raise UserError(
                f"params.yaml has no key {key}; `git checkout params.yaml` brings back a whole one"
            )
        first = found[0]
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
    told = " ".join(comments).partition(HERE)[0].rstrip()
    wrapped = textwrap.wrap(told, WIDTH - COLUMN - 2)
    if choice.reason:
        wrapped += textwrap.wrap(HERE + choice.reason, WIDTH - COLUMN - 2)
    if name in ("statement", "use", "limits"):
        return [*_block(name, choice.value, indent), *(f"{'':{COLUMN}}# {x}" for x in wrapped)]
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


def _yaml(value: object, width: int) -> str:
    yaml = YAML()
    yaml.width = width
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()
