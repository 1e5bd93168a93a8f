"""A training of `improve` as a DVC experiment: made once in a copy of the project, and read from there ever after.

Its name follows from params, data and code, so that what is read is never that of others.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import dvc.api
import numpy as np
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.config.overrides import written
from pipeline.config.params import Params
from pipeline.diagnosis.data_and_layer_rules import SMALL
from pipeline.files import artifacts, digests, predictions
from pipeline.files.predictions import Answers
from pipeline.process import dvc_command
from pipeline.process.errors import UserError
from pipeline.search.remedies import Situation
from pipeline.tracking import runs

LAST = "diagnose"  # the stage that an experiment runs up to
ASKED = {
    "problem",
    "dataset",
    "preprocess",
    "train",
}  # the sections that the line follows from up to there
FLOW = Path("dvc.yaml")


@dataclass(frozen=True)
class Trained:
    """A finished experiment, as DVC keeps it."""

    experiment: str
    overrides: dict[str, Any]
    diagnosis: dict[str, Any]
    answers: Answers
    situation: Situation


def trained(prefix: str, overrides: dict[str, Any], parent: str | None) -> Trained:
    """The experiment with these overrides: from DVC where it is finished, else trained now. Raises UserError."""
    name = f"{prefix}-{origin(overrides)[:8]}"
    if name not in finished():
        run(name, overrides, parent)
    chosen = Params.model_validate(YAML(typ="safe").load(_read(name, params.FILE)))
    diagnosis = json.loads(_read(name, artifacts.report(LAST)))
    splits = json.loads(_read(name, artifacts.report("preprocess")))
    available = len(np.load(io.BytesIO(_read(name, artifacts.RAW / "train" / "labels.npy"))))
    images, small = len(splits["input_shape"]) == 3, SMALL in diagnosis["numbers"]
    situation = Situation(chosen, diagnosis["verdict"], available, images, small)
    return Trained(
        name, overrides, diagnosis, predictions.load(_read(name, artifacts.VALIDATION)), situation
    )


def origin(overrides: Mapping[str, Any]) -> str:
    """A digest of what an experiment follows from: params, and the files of data and code that dvc.yaml names up to the diagnosis.

    Raises UserError.
    """
    chosen = params.override(params.load(), overrides)
    stages = YAML(typ="safe").load(FLOW.read_text(encoding="utf-8"))["stages"]
    line = [stages[name] for name in list(stages)[: list(stages).index(LAST) + 1]]
    made = {
        Path(out) for stage in line for kind in ("outs", "metrics") for out in stage.get(kind, [])
    }
    files = set()
    for dep in {_filled_in(dep, chosen) for stage in line for dep in stage["deps"]}:
        path = Path(dep)
        if made.isdisjoint((path, *path.parents)) and not any(path in out.parents for out in made):
            files |= (
                {path}
                if path.is_file()
                else {
                    inner for inner in path.rglob("*") if inner.is_file() and inner.suffix != ".pyc"
                }
            )
    return digests.of_facts(
        [
            chosen.model_dump_json(include=ASKED),
            *(f"{path} {artifacts.sha256(path)}" for path in sorted(files)),
        ]
    )


def _filled_in(dep: str, chosen: Params) -> str:
    """A path of dvc.yaml with the values that it takes from params.yaml."""
    return re.sub(r"\$\{([\w.]+)\}", lambda key: str(attrgetter(key[1])(chosen)), dep)


def finished() -> set[str]:
    done = subprocess.run(
        [*dvc_command.DVC, "exp", "list", "--all-commits", "--name-only"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.strip() for line in done.stdout.splitlines()}


def run(name: str, overrides: Mapping[str, Any], parent: str | None) -> None:
    """The line as far as the diagnosis, in a copy of the project: the workspace stays as it is. Raises UserError."""
    arguments = ["exp", "run", "--temp", "--name", name, LAST]
    arguments += [
        argument
        for key, value in overrides.items()
        for argument in ("-S", f"{key}={written(value)}")
    ]
    own = str(overrides.get("dataset.path", params.load().dataset.path))
    if Path(own).exists() and not Path(own).is_absolute() and own != params.NONE:
        arguments += [
            "--copy-paths",
            own,
        ]  # data of one's own that git does not know would be missing in the copy
    if dvc_command.run(*arguments, **({runs.PARENT: parent} if parent else {})):
        raise UserError(
            f"the training {name} failed (above is why); mend that and give the same command again, what is finished stays"
        )


def _read(name: str, path: Path) -> bytes:
    with dvc.api.open(path.as_posix(), rev=name, mode="rb") as file:
        data: bytes = file.read()
    return data
