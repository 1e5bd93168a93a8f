"""A training of `improve` as a DVC experiment: run once in a copy of the project, then read.

Its name depends on params, data and code, so that a result is never read for another training.
"""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import dvc.api
import numpy as np
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.config.overrides import Overrides, written
from pipeline.config.params import Params
from pipeline.files import artifacts, digests, predictions
from pipeline.files.reports.diagnose import DiagnosisReport
from pipeline.process import dvc_command
from pipeline.process.errors import UserError
from pipeline.search import paired_test, remote_training
from pipeline.search.change import Situation
from pipeline.search.engine import Engine
from pipeline.search.paired_test import Scores
from pipeline.search.remote_training import RemoteTraining
from pipeline.tracking import runs

LAST = "diagnose"  # the last stage of an experiment
SECTIONS = {"problem", "dataset", "preprocess", "train"}  # of params.yaml, used up to that stage
PIPELINE = Path("dvc.yaml")


@dataclass(frozen=True)
class Experiment:
    """A finished experiment, as DVC keeps it. `scores` are those of the validation set."""

    name: str
    overrides: Overrides
    diagnosis: DiagnosisReport
    scores: Scores
    situation: Situation

    @property
    def score(self) -> str:
        """On the validation set, in words."""
        judged = self.scores.judged
        return f"validation {judged.measure.words} {judged.measure.figure(judged.value)}"


@dataclass(frozen=True)
class Experiments:
    """The experiments of a search. The names of all begin with `prefix`."""

    prefix: str
    engine: Engine

    def name(self, overrides: Overrides) -> str:
        return f"{self.prefix}-{digest(overrides)[:8]}"

    def run(self, several: Mapping[str, Overrides], parent: str | None) -> list[Experiment]:
        """Those with these overrides, read from DVC or run now. Raises UserError.

        The keys of `several` say what is tried. On a cluster the trainings run side by side.
        `parent` is the MLflow run that they become children of.
        """
        names = {key: self.name(overrides) for key, overrides in several.items()}
        done = finished()
        todo = {name: key for key, name in names.items() if name not in done}
        trained = self._trained({key: several[key] for key in todo.values()})
        for name, key in todo.items():
            with trained[key].resumed(Path()) if trained else nullcontext():
                run(name, several[key], parent)
        return [read(name, several[key]) for key, name in names.items()]

    def _trained(self, several: Mapping[str, Overrides]) -> dict[str, RemoteTraining]:
        """What a cluster has trained, if there is one. Raises UserError."""
        if not self.engine.cluster or not several:
            return {}
        if list(several.values()) == [{}] and not dvc_command.is_outdated("--with-deps", "train"):
            return {}  # the model of params.yaml is trained
        remote_training.check_data()
        trainings = {key: remote_training.remote(key, several[key]) for key in several}
        remote_training.train(list(trainings.values()), self.engine)
        return trainings


def read(name: str, overrides: Overrides) -> Experiment:
    """A finished experiment, from what DVC keeps of it."""
    settings = Params.model_validate(YAML(typ="safe").load(_read(name, params.FILE)))
    diagnosis = DiagnosisReport.parse(_read(name, DiagnosisReport.PATH), DiagnosisReport.PATH)
    labels = np.load(io.BytesIO(_read(name, artifacts.RAW / "train" / "labels.npy")))
    situation = Situation.after(settings, diagnosis, available=len(labels))
    description = artifacts.parse_description(_read(name, artifacts.DESCRIPTION))
    validation = predictions.load(_read(name, artifacts.VALIDATION))
    scores = paired_test.scores(validation, description, settings.problem.metric)
    return Experiment(name, overrides, diagnosis, scores, situation)


def digest(overrides: Overrides) -> str:
    """A digest of all that an experiment depends on. Raises UserError.

    It covers params, and the files of data and code that dvc.yaml lists up to the diagnosis.
    """
    settings = params.override(params.load(), overrides)
    stages = YAML(typ="safe").load(PIPELINE.read_text(encoding="utf-8"))["stages"]
    used = [stages[name] for name in list(stages)[: list(stages).index(LAST) + 1]]
    outputs = {
        Path(output)
        for stage in used
        for kind in ("outs", "metrics")
        for output in stage.get(kind, [])
    }
    files: set[Path] = set()
    for dependency in {_resolved(text, settings) for stage in used for text in stage["deps"]}:
        path = Path(dependency)
        is_output = not outputs.isdisjoint((path, *path.parents))
        holds_output = any(path in output.parents for output in outputs)
        if not is_output and not holds_output:
            files |= _files(path)
    return digests.of_facts(
        [
            settings.model_dump_json(include=SECTIONS),
            *(f"{path} {artifacts.sha256(path)}" for path in sorted(files)),
        ]
    )


def _resolved(dependency: str, settings: Params) -> str:
    """A path of dvc.yaml with the values of params.yaml in place of ${...}."""
    return re.sub(r"\$\{([\w.]+)\}", lambda key: str(attrgetter(key[1])(settings)), dependency)


def _files(path: Path) -> set[Path]:
    if path.is_file():
        return {path}
    return {inner for inner in path.rglob("*") if inner.is_file() and inner.suffix != ".pyc"}


def finished() -> set[str]:
    """The names of all experiments that DVC has."""
    done = subprocess.run(
        [*dvc_command.DVC, "exp", "list", "--all-commits", "--name-only"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.strip() for line in done.stdout.splitlines()}


def run(name: str, overrides: Overrides, parent: str | None) -> None:
    """Runs the pipeline up to the diagnosis, in a copy of the project. Raises UserError."""
    arguments = ["exp", "run", "--temp", "--name", name, LAST]
    for key, value in overrides.items():
        arguments += ["-S", f"{key}={written(value)}"]
    dataset = params.load().dataset
    for key, default in (("dataset.path", dataset.path), ("dataset.other", dataset.other)):
        data = str(overrides.get(key, default))
        is_given = data != params.NONE
        if is_given and Path(data).exists() and not Path(data).is_absolute():
            # DVC copies what git tracks. The user's own data may not be tracked.
            arguments += ["--copy-paths", data]
    if dvc_command.run(*arguments, **({runs.PARENT: parent} if parent else {})):
        raise UserError(
            f"the training {name} failed for the reason above; fix it and run the same command"
            " again, finished trainings are kept"
        )


def _read(name: str, path: Path) -> bytes:
    with dvc.api.open(path.as_posix(), rev=name, mode="rb") as file:
        data: bytes = file.read()
    return data
