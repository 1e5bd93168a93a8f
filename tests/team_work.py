"""Work on the servers of a team, and whether they kept all of it once: for `make chaos`.

Each piece of work has a number, by which it differs from the others of its kind.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import optuna

from pipeline.files import artifacts
from pipeline.files.reports.package import PackageReport
from pipeline.files.reports.train import TrainReport
from pipeline.search import optuna_storage
from tests.conftest import EDGEPROOF, SMALL, Project
from tests.test_team import Team
from tests.tracking.conftest import client, runs

# The servers, by the words of their commands by which `Team` knows them.
SERVERS = {
    "bin/postgres -D": "PostgreSQL",
    "weed server": "S3",
    "mlflow server": "MLflow",
    "dask_scheduler": "Dask",
}
BYTES = 20 * 2**20  # of each file that is pushed
VALUES = ["1", "2"]  # of train.epochs, the trials of each sweep
FORMATS = ["tflite_int8"]
PARAMS = {
    **SMALL,
    "train.epochs": 4,  # with 2, the model of seed 15 failed a gate
    "export.formats": FORMATS,
    "export.max_accuracy_drop": 0.05,
    "verify.runtimes": ["litert"],
    "verify.processors": ["native"],
    "embed.targets": [],
}


@dataclass
class Work:
    """A kind of work, in a project with PARAMS."""

    team: Team
    seconds: float = 0.0  # that a command takes undisturbed
    numbers: list[int] = field(default_factory=list)  # whose command has succeeded

    name: ClassVar[str]
    servers: ClassVar[list[str]]  # those that it uses, by the words in SERVERS

    @property
    def project(self) -> Project:
        return self.team.project

    @property
    def store(self) -> Any:
        return client(self.project, os.environ["MLFLOW_TRACKING_URI"])

    def command(self, number: int) -> list[str]:
        """The command, once what it needs is prepared."""
        raise NotImplementedError

    def succeeded(self, number: int) -> None:
        self.numbers.append(number)

    def faults(self, number: int) -> Iterator[str]:
        """What the servers have lost of it, or have twice."""
        raise NotImplementedError


class Line(Work):
    """A run of the whole pipeline, logged to MLflow."""

    name = "line"
    servers: ClassVar = ["bin/postgres -D", "weed server", "mlflow server"]

    def command(self, number: int) -> list[str]:
        self.project.change({"train.seed": number})
        return [*EDGEPROOF, "run"]

    def succeeded(self, number: int) -> None:
        """Keeps what the run has made here, before the next one replaces it."""
        super().succeeded(number)
        copies = self.project.folder / "chaos" / f"line-{number}"
        for path in (TrainReport.PATH, PackageReport.PATH, artifacts.MODEL):
            (copies / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.project.folder / path, copies / path)

    def faults(self, number: int) -> Iterator[str]:
        copies = self.project.folder / "chaos" / f"line-{number}"
        training = TrainReport.load(copies / TrainReport.PATH)
        key = training.training_key
        of_key = [run for run in runs(self.store) if run.data.tags.get("training_key") == key]
        yield from differs("its runs", [run.info.status for run in of_key], ["FINISHED"])
        for run in of_key:
            model = artifacts.sha256(copies / artifacts.MODEL)
            yield from differs("the model", run.data.tags.get("model_sha256"), model)
            name = run.info.run_id
            history = self.store.get_metric_history(name, "validation_loss")
            epochs = list(range(1, training.epochs + 1))
            yield from differs("epochs", sorted(row.step for row in history), epochs)
            files = {entry.path for entry in self.store.list_artifacts(name, "reports")}
            yield from differs("missing pages", {"reports/index.html"} - files, set())
            bundle = PackageReport.load(copies / PackageReport.PATH).sha256
            yield from self._faults_of_models(run, bundle)

    def _faults_of_models(self, run: Any, bundle: str) -> Iterator[str]:
        logged = self.store.search_logged_models([run.info.experiment_id])
        models = [model.name for model in logged if model.source_run_id == run.info.run_id]
        yield from differs("logged models", models, FORMATS)
        versions = self.store.search_model_versions(f"run_id = '{run.info.run_id}'")
        bundles = [version.tags.get("bundle_sha256") for version in versions]
        yield from differs("registered bundles", bundles, [bundle])


class Sweep(Work):
    """Trials in PostgreSQL, trained on the cluster, and logged to MLflow."""

    name = "sweep"
    servers: ClassVar = [*SERVERS]

    def command(self, number: int) -> list[str]:
        command = [*EDGEPROOF, "sweep", f"train.epochs={','.join(VALUES)}", "--sampler", "grid"]
        command += ["-S", f"train.seed={number}"]  # or it would find the results of the last one
        command += ["--heartbeat", "2", "--storage", self.team.storage]
        return [*command, "--cluster", self.team.cluster, "--name", f"c{number}"]

    def faults(self, number: int) -> Iterator[str]:
        address = optuna_storage.address(self.team.storage)
        study = optuna.load_study(study_name=f"c{number}", storage=address)
        done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        values = sorted(trial.params["train.epochs"] for trial in done)
        yield from differs("trials", values, VALUES)
        all_runs = runs(self.store)
        searches = [run for run in all_runs if run.data.tags.get("search") == f"c{number}"]
        yield from differs("its runs", [run.info.status for run in searches], ["FINISHED"])
        parts = [run for run in all_runs if run.data.tags.get("part_of") == f"c{number}"]
        values = sorted(run.data.params["train.epochs"] for run in parts)
        yield from differs("runs of trials", values, VALUES)
        yield from differs("their states", {run.info.status for run in parts}, {"FINISHED"})


class Push(Work):
    """A file for DVC's remote on S3."""

    name = "push"
    servers: ClassVar = ["weed server"]

    def command(self, number: int) -> list[str]:
        path = self.project.folder / "chaos" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(number))
        self.project.run("dvc", "add", "--quiet", f"chaos/{number}")
        return ["dvc", "push", f"chaos/{number}.dvc"]

    def faults(self, number: int) -> Iterator[str]:
        """Whether a pull without a cache gives the same file."""
        path = self.project.folder / "chaos" / str(number)
        path.unlink()
        shutil.rmtree(self.project.folder / ".dvc/cache")
        self.project.run("dvc", "pull", "--quiet", f"chaos/{number}.dvc")
        pulled, expected = (
            hashlib.sha256(x).digest() for x in (path.read_bytes(), content(number))
        )
        yield from differs("the file that was pulled", pulled, expected)


def content(number: int) -> bytes:
    return random.Random(number).randbytes(BYTES)


def differs(what: str, actual: Any, expected: Any) -> Iterator[str]:
    if actual != expected:
        yield f"{what}: {actual}, expected {expected}"
