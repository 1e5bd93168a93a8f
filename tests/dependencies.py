"""Writes the modules that each stage depends on into dvc.yaml: `make deps`.

    python -m tests.dependencies

A module is found by following the imports of its stage, those by name included. What dvc.yaml lists
beside modules stays as it is: data, other files, and folders, which stand for all their modules.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.config import parts
from pipeline.files import code
from tests.conftest import ROOT

FILE = ROOT / "dvc.yaml"
PIPELINE = ROOT / "pipeline"
# Modules that do not affect what a stage writes: how it runs, how its params are read, how a file
# is written to the disk, what is printed or recorded, how published files get here, whose SHA-256
# are known, and what `check` refuses before there is any output.
NO_DEPENDENCY = (
    "pipeline/process/",
    "pipeline/config/own_model.py",
    "pipeline/config/params.py",
    "pipeline/config/parts.py",
    "pipeline/config/problem.py",
    "pipeline/config/section.py",
    "pipeline/config/validation_message.py",
    "pipeline/files/fetch.py",
    "pipeline/files/atomic.py",
    "pipeline/planning/",
    "pipeline/reporting/split_notes.py",
    "pipeline/tracking/",
    "serving/__init__.py",
)
# Where photos are. `download` lists them with their SHA-256, and later stages read nothing else.
LISTED_BY_DOWNLOAD = ("pipeline/files/s3.py",)
# Of these folders, params.yaml names the one module that a stage uses.
NAMED = {"datasets": "${dataset.name}", "architectures": "${train.architecture}"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_empty(path: Path) -> bool:
    """Whether a module holds nothing but its docstring, as the `__init__.py` of most folders."""
    return all(
        isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


@cache
def by_name(path: Path) -> set[Path]:
    """The modules that a module uses by name.

    These are any module of a folder, if params.yaml holds the name, and modules that run in a
    process of their own.
    """
    files: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            if not isinstance(node.args[0], ast.JoinedStr):
                assert path == ROOT / "serving/__main__.py", f"{path} imports an unknown module"
                continue  # the names of its commands are constants in that file
            package = ast.literal_eval(node.args[0].values[0]).rstrip(".")
            files |= set(ROOT.joinpath(*package.split(".")).glob("[a-z]*.py"))
        if isinstance(node, ast.Constant):
            dotted = str(node.value)
            if re.fullmatch(r"(pipeline|serving)(\.\w+)+", dotted):
                file = ROOT.joinpath(*dotted.split(".")).with_suffix(".py")
                files |= {file} if file.exists() else set()
    return files


def own(path: Path) -> set[Path]:
    """The files of this project that a module imports."""
    return {*code.imported(path), *by_name(path)}


def closure(stage: str) -> set[Path]:
    """The modules on which the outputs of a stage depend."""
    without = NO_DEPENDENCY if stage == "download" else (*NO_DEPENDENCY, *LISTED_BY_DOWNLOAD)
    seen: set[Path] = set()
    todo = [PIPELINE / f"{stage}.py"]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [
                file
                for file in own(path)
                if not name(file).startswith(without) and not is_empty(file)
            ]
    return seen


def is_chosen(path: Path) -> bool:
    """Whether params.yaml may hold the name of a module."""
    return path.parent.name in NAMED and path.stem in parts.choices(path.parent.name)


def in_dvc(path: Path) -> set[str]:
    """A module as dvc.yaml names it, and those beside it that it is made of."""
    if not is_chosen(path):
        return {name(path)}
    beside = {name(file) for file in own(path) if file.parent == path.parent and is_chosen(file)}
    return {name(path.with_stem(NAMED[path.parent.name])), *beside}


def dependencies(stage: str, listed: list[str]) -> list[str]:
    """The dependencies of a stage, of which `listed` are those in dvc.yaml today."""
    others = [dep for dep in listed if not dep.endswith(".py")]
    folders = tuple(f"{dep}/" for dep in others)
    paths = (path for path in closure(stage) if not name(path).startswith(folders))
    modules = set().union(*map(in_dvc, paths))
    return sorted({*others, *modules})


def dvc_yaml() -> str:
    """dvc.yaml with the modules that the stages depend on now."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    content: dict[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"))
    for stage, entry in content["stages"].items():
        listed = list(entry["deps"])
        if (needed := dependencies(stage, listed)) != listed:  # keeps the empty line after a list
            entry["deps"][:] = needed
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()


if __name__ == "__main__":
    FILE.write_text(dvc_yaml(), encoding="utf-8")
