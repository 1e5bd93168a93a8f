"""The project's modules that a module depends on, read from its import statements."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "serving")


def closure(modules: Iterable[Path]) -> set[Path]:
    """The modules and all project modules that they import, directly or not, with `__init__.py`."""
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
    """The project modules that this one imports anywhere in its file, except for type checking."""
    files = set()
    for name in names(module):
        parts = name.split(".")
        if parts[0] not in PACKAGES:
            continue
        # The last part may be a module, or a name within the module of the other parts.
        for length in range(max(len(parts) - 1, 1), len(parts) + 1):
            stem = ROOT.joinpath(*parts[:length])
            candidates = (stem.with_suffix(".py"), stem / "__init__.py")
            files |= {file for file in candidates if file.exists()}
    return frozenset(files - {module})


def names(module: Path) -> set[str]:
    """The dotted names that a module imports, the project's and others."""
    imports = set()
    for node in _walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
    return imports


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and its descendants, without `if TYPE_CHECKING` blocks."""
    if (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)
