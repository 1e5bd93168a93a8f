"""The parts that params.yaml names: a folder of pipeline/ for each kind, a module for each part."""

from __future__ import annotations

import ast
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@cache
def choices(folder: str) -> list[str]:
    """The names of one kind of part: the modules of pipeline/<folder>."""
    return sorted(
        path.stem for path in (PACKAGE / folder).glob("*.py") if not path.stem.startswith("_")
    )


def checked_name(folder: str, name: str) -> str:
    """Returns `name`. Raises ValueError if pipeline/<folder> has no module of that name."""
    if name not in choices(folder):
        raise ValueError(f"{name!r} is not one of pipeline/{folder}: {', '.join(choices(folder))}")
    return name


@cache
def options(folder: str) -> list[str]:
    """The keys that parts of pipeline/<folder> declare as their own, in a class `Options` each."""
    keys: dict[str, None] = {}
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "class Options(" not in source:
            continue
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and node.name == "Options":
                fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
                keys |= {ast.unparse(field.target): None for field in fields}
    return list(keys)


@cache
def declared(folder: str, name: str) -> dict[str, Any]:
    """The constants of a part, parsed from its source: importing an architecture takes seconds."""
    constants = {}
    for node in ast.parse((PACKAGE / folder / f"{name}.py").read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name):
            with suppress(ValueError):  # not a literal
                constants[target.id] = ast.literal_eval(node.value or ast.Constant(None))
    return constants


def runs_on_micro(export_format: str) -> bool:
    """Whether TensorFlow Lite Micro runs a format, so that targets without Python can have it."""
    return bool(declared("formats", export_format).get("MICRO"))


def one_class_each(target: str) -> bool:
    """Whether each example of a target of this name has one class of several."""
    return bool(declared("targets", target)["ONE_CLASS_EACH"])


def is_number(target: str) -> bool:
    """Whether a target of this name is a number, in problem.unit."""
    return bool(declared("targets", target)["IS_NUMBER"])
