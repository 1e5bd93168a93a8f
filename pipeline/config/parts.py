"""The parts that params.yaml may name: a folder of pipeline/ for each kind, a module for each part."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@cache
def choices(folder: str) -> list[str]:
    """The names that params.yaml may use for a kind of part: the modules of pipeline/<folder>."""
    return sorted(
        path.stem for path in (PACKAGE / folder).glob("*.py") if not path.stem.startswith("_")
    )


def known(folder: str, name: str) -> str:
    """`name`, if pipeline/<folder> has a module of that name. Raises ValueError with the allowed ones."""
    if name not in choices(folder):
        raise ValueError(f"{name!r} is not one of pipeline/{folder}: {', '.join(choices(folder))}")
    return name


@cache
def declared(folder: str, name: str) -> dict[str, Any]:
    """The constants of a part, read and not imported, since an architecture's import takes seconds."""
    constants = {}
    for node in ast.parse((PACKAGE / folder / f"{name}.py").read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        ):
            constants[node.targets[0].id] = node.value.value
    return constants
