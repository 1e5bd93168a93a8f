"""Only inputs, targets and what runs on a device know a kind of input, or a target, by its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pipeline.config import parts
from tests.conftest import ROOT
from tests.dependencies import PIPELINE


def kinds_by_name(path: Path) -> list[str]:
    """Where a module compares a kind of input, or a target, with its name."""
    names = {*parts.choices("inputs"), *parts.choices("targets")}
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Compare, ast.Match)):
            literals = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if literals & names and re.search(r"\b(kind|target)\b", ast.unparse(node)):
                lines.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    return lines


def test_only_inputs_targets_and_serving_know_a_kind_by_its_name() -> None:
    """Elsewhere its constants tell, so that a new kind is forgotten in no comparison."""
    for path in [*PIPELINE.rglob("*.py"), *(ROOT / "lectures").rglob("*.py")]:
        if path.parent not in (PIPELINE / "inputs", PIPELINE / "targets"):
            assert not kinds_by_name(path)
