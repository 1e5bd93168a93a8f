"""The code that something follows from: a module, and all of ours that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "serving")


def closure(modules: Iterable[Path]) -> set[Path]:
    """The modules, all of ours that they import, and so on, with the `__init__.py` of each."""
    seen: set[Path] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += imported(module)
    return seen


@cache
def imported(module: Path) -> frozenset[Path]:
    """The modules of ours that this one imports, wherever in the file; not those that only a type checker sees."""
    found = set()
    for name in names(module):
        parts = name.split(".")
        for length in (len(parts), len(parts) - 1) if parts[0] in PACKAGES else ():
            stem = ROOT.joinpath(*parts[:length])
            found |= {
                file
                for file in (stem.with_suffix(".py"), stem / "__init__.py")
                if length and file.exists()
            }
    return frozenset(found - {module})


def names(module: Path) -> set[str]:
    """The dotted names that a module imports, ours and others'."""
    found = set()
    for node in _walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is below it, but for blocks that only a type checker sees."""
    if (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)
