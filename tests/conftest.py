"""Shared fixtures: real MNIST, and a copy of this project with a small configuration."""

from __future__ import annotations

import copy
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.config import params
from pipeline.datasets import Raw, mnist
from pipeline.runtimes import emulation
from pipeline.runtimes.process import Interpreter
from pipeline.tracking import local_store
from serving import Classifier
from tests import kept

# Fixtures that several modules share.
pytest_plugins = ["tests.chromium", "tests.device", "tests.hostile_bundles", "tests.server"]

ROOT = Path(__file__).parent.parent
# The installed `edgeproof` runs the code of its checkout; this runs that of the current folder.
EDGEPROOF = ("python", "-m", "pipeline.cli")
# `edgeproof draft` without the stages before it
PACK_DRAFT = ("python", "-c", "from pipeline.package import package; package(draft=True)")

# A shell that starts the tests in the background makes them ignore SIGINT, and their children
# would inherit that.
with suppress(ValueError):  # raised outside the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes long on a busy machine is not a fault.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

STAGES = tuple(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])  # in the order they run

# Small, but every part is real.
SMALL = {
    "problem.target": 0.8,
    "problem.coverage": None,  # tests of answers that are none of the classes set thresholds
    "preprocess.subset": 4000,
    "train.epochs": 2,
    "export.calibration_images": 100,
    "export.max_accuracy_drop": 0.01,
    "verify.micro_images": 50,
    "verify.micro_max_accuracy_drop": 0.2,
    "verify.latency_runs": 50,
    "verify.processors": ["native", "nehalem"],
    "verify.processor_images": 50,
    "embed.images": 50,
}

# For data that are not MNIST, whose description `check` would refuse.
OWN_PROBLEM = {
    "problem.statement": "What is it?",
    "problem.use": "Tests.",
    "problem.limits": ["It knows nothing else."],
}


@pytest.hookimpl(trylast=True)  # after tests are deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests so that two workers, which each begin with one half, are never idle.

    One makes the project `finished`, which takes a minute, while the other runs slow tests that do
    without it. The quick tests come last, for whichever worker is free.
    """
    quick = [item for item in items if not item.get_closest_marker("slow")]
    slow = [item for item in items if item.get_closest_marker("slow")]
    first = [item for item in slow if "finished" in getattr(item, "fixturenames", ())]
    others = [item for item in slow if item not in first]
    filling = max(len(items) // 2 - len(first), 0)
    items[:] = [*first, *quick[:filling], *others, *quick[filling:]]


@pytest.fixture(scope="session")
def raw_mnist() -> Raw:
    return mnist.load(params.load(ROOT / "params.yaml").dataset)


@pytest.fixture(scope="session")
def mirror(raw_mnist: Raw, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for DATA_MIRROR with mnist.npz."""
    folder = tmp_path_factory.mktemp("mirror")
    np.savez(
        folder / "mnist.npz",
        x_train=raw_mnist.train_images[..., 0],
        y_train=raw_mnist.train_labels,
        x_test=raw_mnist.test_images[..., 0],
        y_test=raw_mnist.test_labels,
    )
    return folder


def emulated(name: str, runtime: str) -> Interpreter:
    """Python with a runtime on an emulated processor; skips the test if QEMU is not available."""
    try:
        return emulation.interpreter(name, runtime)
    except OSError as error:
        pytest.skip(str(error))


class Project:
    """A copy of this project in another folder, with its own git, DVC cache and MLflow store."""

    def __init__(self, folder: Path, mirror: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "DVC_", "PYTEST_"))
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment["DATA_MIRROR"] = str(mirror)

    def begin(self) -> Project:
        """Copies the project into the folder, with the small configuration."""
        for name in kept.files():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        self.run("git", "init", "--quiet")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")
        self.change(SMALL)
        self.commit()
        return self

    def copy(self, folder: Path) -> Project:
        """The same project in another folder, where a test may change files.

        It has no git, DVC cache or MLflow store, and its data are read-only.
        """
        shutil.copytree(
            self.folder,
            folder,
            ignore=shutil.ignore_patterns(".git", ".dvc", "data", "mlflow.db*", "mlruns"),
        )
        (folder / "data").symlink_to(self.folder / "data")
        other = copy.copy(self)
        other.folder = folder
        return other

    def whole_copy(self, folder: Path) -> Project:
        """The same project in another folder, with its git, DVC cache and MLflow store."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, Path(self.environment["DATA_MIRROR"]))

    def change(self, values: dict[str, Any]) -> None:
        """Sets params by dotted key, and drops the comments.

        ruamel.yaml sometimes writes comments to places where they break the file.
        """
        yaml = YAML(typ="safe")
        path = self.folder / "params.yaml"
        content = yaml.load(path)
        for key, value in values.items():
            *sections, last = key.split(".")
            section = content
            for name in sections:
                section = section[name]
            section[last] = value
        yaml.dump(content, path)

    def params(self) -> dict[str, Any]:
        """The values of params.yaml."""
        values: dict[str, Any] = YAML(typ="safe").load(self.folder / "params.yaml")
        return values

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "state")

    def run(self, *command: str, **environment: str) -> str:
        """Runs a command that must succeed; returns its output."""
        done = self.attempt(*command, **environment)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def attempt(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command that may fail."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> Path:
        """What the commands write that `start` starts."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command in a process group of its own."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project that has not been run. It skips the slow stage, the exports without Python."""
    project = Project(tmp_path_factory.mktemp("fresh"), mirror).begin()
    project.change({"embed.targets": []})
    project.commit()
    return project


@pytest.fixture
def project(tmp_path: Path, fresh: Project) -> Project:
    """A copy of `fresh`, which a test may run and change."""
    return fresh.whole_copy(tmp_path / "project")


@pytest.fixture
def run_stages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs stages of a project in this process, which starts TensorFlow only once."""

    def run(project: Project, *stages: str) -> None:
        run_here(project, monkeypatch, *stages)

    return run


def run_here(project: Project, patch: pytest.MonkeyPatch, *stages: str) -> None:
    """What the fixture `run_stages` does, for fixtures of a wider scope."""
    patch.chdir(project.folder)
    patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    patch.setattr(sys, "argv", ["stage"])
    for stage in stages or STAGES:
        importlib.import_module(f"pipeline.{stage}").main()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """A project whose pipeline has finished. Tests must not change it.

    It is run once for all tests of this code; each test worker gets a copy.
    """

    def make(folder: Path) -> None:
        project = Project(folder, mirror).begin()
        project.run("dvc", "repro")
        project.commit()

    shared = kept.folder(tmp_path_factory.mktemp("making"), make)
    own = Project(shared, mirror).whole_copy(tmp_path_factory.mktemp("finished") / "project")
    local_store.relocate_artifacts(own.folder, "mnist-digits")
    return own


@pytest.fixture(scope="session")
def archive(finished: Project) -> Path:
    """The bundle of `finished`, as its maker distributes it."""
    return next((finished.folder / "dist").glob("*.tar.gz"))


@pytest.fixture(scope="session")
def classifier(archive: Path) -> Classifier:
    return Classifier.load(archive, "onnx_float32")


@pytest.fixture
def bundle(archive: Path, tmp_path: Path) -> Path:
    """The same bundle, unpacked, for a test to damage."""
    shutil.unpack_archive(archive, tmp_path)
    return tmp_path / archive.name.removesuffix(".tar.gz")
